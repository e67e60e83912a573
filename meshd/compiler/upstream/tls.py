"""`tls` of a policy and a service's own names -> the TLS that the proxy opens to its endpoints (spec D-70 to D-84).

Without a word to the contrary both chain and name of the server are verified.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshd import plan
from meshd.compiler.upstream.call import Call
from meshd.compiler.upstream.mesh_tls import mesh_secrets, mesh_tls, speaks_mesh_tls
from meshd.compiler.upstream.secrets import (
    certificate_from_files,
    certificate_of_credential,
    root_from_files,
    root_of_credential,
)
from meshd.registry.hosts import is_wildcard
from meshd.registry.service import Instance, Port, Service
from meshd.registry.settings import MeshSettings
from meshd.resources.traffic_policy import ClientTLSSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Origination:
    """TLS that is opened, to all endpoints or to those that speak the mesh's, and the secrets that it takes.

    `mesh_wide`: `tls` is the mesh's own.
    """

    tls: plan.UpstreamTls | None = None
    mesh_tls: plan.UpstreamTls | None = None
    secrets: tuple[plan.Secret, ...] = ()
    mesh_wide: bool = False

    def names_mesh_sni(self, instance: Instance) -> bool:
        """Only such a connection finds its way through the gateway of another network."""
        return self.mesh_wide or (self.mesh_tls is not None and speaks_mesh_tls(instance))


def origination(call: Call, http: plan.UpstreamHttp | None, discovery: plan.Discovery) -> Origination:
    given, settings = call.policy.tls, call.host.settings
    if given is None:
        return _automatic(call, http, discovery) if settings.auto_mtls else Origination()
    if given.mode == "DISABLE":
        return Origination()
    if given.mode == "ISTIO_MUTUAL":
        tls = mesh_tls(call, http, sni=given.sni, subject_alt_names=given.subject_alt_names)
        return Origination(tls=tls, secrets=mesh_secrets(settings), mesh_wide=True)
    return _own(given, call.service, call.port, settings)


def withheld(call: Call) -> bool:
    """D-77: a sidecar has the credential of a rule only if that selects it; without it nothing must leave."""
    given = call.policy.tls
    if given is None or not given.credential_name or given.mode not in {"SIMPLE", "MUTUAL"}:
        return False
    return call.proxy == "sidecar" and not call.policy.selected


def _automatic(call: Call, http: plan.UpstreamHttp | None, discovery: plan.Discovery) -> Origination:
    """6.4. Where Envoy has no endpoints that say what they speak, all must speak it."""
    if call.service.location != "MESH_INTERNAL":
        return Origination()
    speaking = [speaks_mesh_tls(instance) for instance in call.service.instances_of(call.port)]
    if not any(speaking):
        return Origination()
    tls, secrets = mesh_tls(call, http), mesh_secrets(call.host.settings)
    if isinstance(discovery, plan.ByEds):
        return Origination(mesh_tls=tls, secrets=secrets)
    return Origination(tls=tls, secrets=secrets, mesh_wide=True) if all(speaking) else Origination()


def _own(given: ClientTLSSettings, service: Service, port: Port, settings: MeshSettings) -> Origination:
    """SIMPLE and MUTUAL."""
    names = given.subject_alt_names or service.subject_alt_names
    asked = given.sni or None  # an empty one is an absent one, as in Istio: it must not end the check of names
    automatic = asked is None and not names and not given.insecure_skip_verify
    sni, expected = _names(service, port)
    believed, certificate = root(given, settings), client_certificate(given, settings)
    tls = plan.UpstreamTls(
        sni=sni if asked is None else asked,
        validation=believed.name if believed else None,
        subject_alt_names=_verified(given, names) or (expected if automatic else ()),
        san_from_host=automatic and sni is None,
        certificate=certificate.name if certificate else None,
    )
    return Origination(tls=tls, secrets=tuple(secret for secret in (certificate, believed) if secret))


def _names(service: Service, port: Port) -> tuple[str | None, tuple[str, ...]]:
    """The automatic SNI, and the name that the certificate must then carry.

    Each HTTP request brings its Host. Other bytes do not: there it is the service's name, unless that is a wildcard.
    """
    if port.family == "http":
        return None, ()
    return ("", ()) if is_wildcard(service.host) else (service.host, (service.host,))


def _verified(given: ClientTLSSettings, names: tuple[str, ...]) -> tuple[str, ...]:
    return () if given.insecure_skip_verify else names


def root(given: ClientTLSSettings, settings: MeshSettings) -> plan.ValidationSecret | None:
    if given.insecure_skip_verify:
        return None
    if given.credential_name:
        return root_of_credential(given.credential_name, settings.secret_root, given.origin)
    chosen = given.ca_certificates
    file = settings.system_ca_file if chosen in {None, "", "system"} else str(chosen)
    return root_from_files(file, given.ca_crl, given.origin)


def client_certificate(given: ClientTLSSettings, settings: MeshSettings) -> plan.CertificateSecret | None:
    if given.mode != "MUTUAL":
        return None
    if given.credential_name:
        return certificate_of_credential(given.credential_name, settings.secret_root, given.origin)
    if not given.client_certificate or not given.private_key:
        return None
    return certificate_from_files(given.client_certificate, given.private_key, given.origin)
