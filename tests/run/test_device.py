"""The words for a trial's device."""

import pytest

from tuner.run.device import (
    device_text,
    lacks_cudnn,
    packings,
    place_of,
    with_share,
    without_share,
)

H100 = "NVIDIA H100 80GB HBM3"


@pytest.mark.parametrize(
    ("gpu", "cudnn", "gpus", "text"),
    [
        (None, True, 0.0, "cpu"),
        (None, False, 0.25, "cpu"),
        (H100, True, 1.0, H100),
        (H100, False, 1.0, f"{H100} (no cuDNN)"),
        (H100, True, 0.0714, f"{H100}, 1/14"),  # as Ray keeps it
        (H100, False, 0.1428, f"{H100}, 1/7 (no cuDNN)"),
        (H100, True, 0.0208, f"{H100}, 1/48"),
        (H100, True, 0.3, f"{H100}, 3/10"),
    ],
)
def test_a_device_is_a_gpu_and_the_share_of_it(
    gpu: str | None, cudnn: bool, gpus: float, text: str
) -> None:
    device = device_text(gpu, cudnn=cudnn)
    assert with_share(device, gpus) == text
    assert without_share(text) == device
    assert place_of(text) == text.removesuffix(" (no cuDNN)")
    assert lacks_cudnn(text) is (gpu is not None and not cudnn)


def test_names_with_commas_and_brackets_stay_whole() -> None:
    assert without_share("Quadro 4000, mobile") == "Quadro 4000, mobile"
    assert place_of("GeForce (Laptop), 1/4 (no cuDNN)") == "GeForce (Laptop), 1/4"


def test_packings_are_the_gpus_and_shares_of_trials_on_gpus() -> None:
    devices = ["cpu", None, f"{H100}, 1/14", f"{H100}, 1/14 (no cuDNN)", H100]
    assert packings(devices) == [H100, f"{H100}, 1/14"]
