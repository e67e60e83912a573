"""ClientTLSSettings: the TLS that is opened to the endpoints of a service (spec D-70 to D-84)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from meshd.fields import Count, EmptyIsAbsent, HostText, Later, Message, credential_name
from meshd.problems import Problem
from meshd.resources.finding import doubtful, invalid

_Path = Annotated[str, EmptyIsAbsent()]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTLSSettings(Message):
    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] = "DISABLE"
    client_certificate: _Path | None = None
    private_key: _Path | None = None
    ca_certificates: _Path | None = None
    credential_name: Annotated[str, EmptyIsAbsent(), credential_name] | None = None
    subject_alt_names: tuple[str, ...] = ()
    sni: Annotated[HostText, EmptyIsAbsent(), Count(0, 255)] | None = None
    insecure_skip_verify: bool = False
    ca_crl: _Path | None = None
    ca_cert_credential_name: Later = None

    def check(self) -> Iterator[Problem]:
        if self.mode == "DISABLE":
            everything = {**self._certificates(), **self._names(), "insecureSkipVerify": self.insecure_skip_verify}
            yield from self._in_vain(everything, "has no effect without TLS", "set mode: SIMPLE or MUTUAL")
        elif self.mode == "ISTIO_MUTUAL":
            mesh = {**self._certificates(), "insecureSkipVerify": self.insecure_skip_verify}
            yield from self._in_vain(mesh, "has no effect: the mesh's own identity is used", "leave it out")
        else:
            yield from self._check_certificates()
            yield from self._check_insecure()

    def _certificates(self) -> dict[str, object]:
        return {
            "clientCertificate": self.client_certificate,
            "privateKey": self.private_key,
            "caCertificates": self.ca_certificates,
            "caCrl": self.ca_crl,
            "credentialName": self.credential_name,
        }

    def _names(self) -> dict[str, object]:
        return {"subjectAltNames": self.subject_alt_names, "sni": self.sni}

    def _in_vain(self, settings: Mapping[str, object], why: str, hint: str) -> Iterator[Problem]:
        for name, given in settings.items():
            if given:
                yield doubtful(self.origin.at(name), why, hint)

    def _check_certificates(self) -> Iterator[Problem]:
        """D-73, D-77 and D-82."""
        pair = {"clientCertificate": self.client_certificate, "privateKey": self.private_key}
        if self.credential_name:
            for name, given in self._certificates().items():
                if given and name != "credentialName":
                    yield invalid(self.origin.at(name), f"{name} does not go with credentialName")
        elif self.mode == "MUTUAL":
            for name in (name for name, given in pair.items() if not given):
                message = f"mode MUTUAL needs {name}, or credentialName"
                yield Problem(code="E-REQUIRED", at=self.origin, message=message)
        else:
            yield from self._in_vain(pair, "mode SIMPLE shows no certificate", "set mode: MUTUAL")

    def _check_insecure(self) -> Iterator[Problem]:
        """D-78 and D-81."""
        if not self.insecure_skip_verify:
            return
        at = self.origin.at("insecureSkipVerify")
        yield Problem(code="W-TLS-INSECURE", at=at, message="anybody can pose as this service: nothing is verified")
        verifying = {"caCertificates": self.ca_certificates, "subjectAltNames": self.subject_alt_names}
        if self.mode == "SIMPLE":  # in mode MUTUAL the credential holds the client's certificate
            verifying["credentialName"] = self.credential_name
        for name in (name for name, given in verifying.items() if given):
            yield invalid(self.origin.at(name), f"{name} does not go with insecureSkipVerify")
        yield from self._in_vain(
            {"caCrl": self.ca_crl}, "has no effect with insecureSkipVerify", "leave one of them out"
        )
