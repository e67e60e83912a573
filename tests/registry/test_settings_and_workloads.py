from __future__ import annotations

from datetime import timedelta

from meshd.registry.settings import MeshSettings, settle
from meshd.registry.workloads import identity, workloads_by_host
from meshd.resources.mesh_config import LocalityLb
from tests.builders import a_mesh_config, a_workload_entry


def test_without_a_mesh_config_every_setting_has_its_default():
    assert settle(None) == MeshSettings()
    assert settle(a_mesh_config()) == MeshSettings()


def test_a_mesh_config_changes_what_it_names():
    settings = settle(
        a_mesh_config(
            domain_suffix="Mesh.Internal.", connect_timeout=timedelta(seconds=3), locality_lb=LocalityLb(enabled=False)
        )
    )

    assert settings.domain_suffix == "mesh.internal"
    assert settings.connect_timeout == timedelta(seconds=3)
    assert not settings.locality_lb
    assert settings.root_namespace == "istio-system"


def test_a_workload_is_of_the_vm_of_its_annotation_or_else_of_its_name():
    named = a_workload_entry("web-1")
    annotated = a_workload_entry("shop", annotations={"meshd.io/host": "web-2"})

    found = workloads_by_host([named, annotated])

    assert found == {"web-1": (named,), "web-2": (annotated,)}


def test_an_annotated_workload_says_who_the_vm_is_before_one_that_is_only_named_like_it():
    named = a_workload_entry("web-1")
    annotated = a_workload_entry("zebra", annotations={"meshd.io/host": "web-1"})

    (entries,) = workloads_by_host([named, annotated]).values()

    assert identity(entries) is annotated
