"""A user's own architecture: found, called with its parameters, checked."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tuner.errors import SpaceError, TrialBroke, TrialFailed, TrialOutOfMemory
from tuner.settings.hyperparameters import resolve
from tuner.training import own_modules
from tuner.training.builder import build_model
from tuner.training.custom import check_importable
from tuner.training.failures import trial_errors

pytestmark = pytest.mark.keras

MODELS = """
import keras


def build(*, vocabulary_size, n_classes, width=8):
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(vocabulary_size, width)(ids)
    x = keras.layers.GlobalMaxPooling1D()(x)
    units, activation = (1, "sigmoid") if n_classes == 2 else (n_classes, "softmax")
    return keras.Model(ids, keras.layers.Dense(units, activation=activation)(x))


def five_outputs(*, vocabulary_size, n_classes):
    return build(vocabulary_size=vocabulary_size, n_classes=5)


def every_step(*, vocabulary_size, n_classes):
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(vocabulary_size, 4)(ids)
    return keras.Model(ids, keras.layers.Dense(1, activation="sigmoid")(x))


def without_input(*, vocabulary_size, n_classes):
    return keras.Sequential([keras.layers.Embedding(vocabulary_size, 4)])


def text(*, vocabulary_size, n_classes):
    return "a model"


def broken(*, vocabulary_size, n_classes):
    raise KeyError("units")


class ResourceExhaustedError(Exception):
    pass


def huge(*, vocabulary_size, n_classes):
    raise ResourceExhaustedError("OOM when allocating tensor with shape[20000000,1024] on GPU:0")


NOT_A_FUNCTION = 3
"""


@pytest.fixture(autouse=True)
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_models.py").write_text(MODELS)
    (tmp_path / "own_broken_module.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_models", raising=False)
    monkeypatch.setattr(own_modules, "_sources", {})
    monkeypatch.setattr(own_modules, "_dtype_policies", {})
    monkeypatch.setattr(own_modules, "_named", {"own_models", "own_absent", "own_broken_module"})


def test_function_gets_vocabulary_classes_and_its_own_parameters() -> None:
    hyperparameters = resolve("own_models:build", {"width": 4, "vocabulary_size": 50})

    model = build_model(hyperparameters, n_classes=3)

    assert model.count_params() == 50 * 4 + (4 + 1) * 3
    assert np.asarray(model(np.array([[1, 2]], np.int32))).shape == (1, 3)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("text", "returned str; return a keras.Model"),
        ("five_outputs", r"output shape \(None, 5\); for 2 classes it must be \(None, 1\)"),
        ("every_step", r"output shape \(None, None, 1\)"),
        ("without_input", "without an input"),
        ("broken", "raised KeyError: 'units'"),
        ("missing", "own_models has no function missing"),
    ],
)
def test_trial_fails_on_a_model_that_is_no_classifier(function: str, message: str) -> None:
    with pytest.raises(TrialFailed, match=message):
        build_model(resolve(f"own_models:{function}", {}), n_classes=2)


def test_a_model_that_finds_no_memory_is_out_of_memory() -> None:
    with pytest.raises(TrialOutOfMemory, match="OOM when") as caught, trial_errors():
        build_model(resolve("own_models:huge", {}), n_classes=2)
    assert caught.value.is_gpu_full


def test_trial_fails_on_a_parameter_that_the_function_does_not_take() -> None:
    with pytest.raises(TrialFailed, match="unexpected keyword argument 'depth'"):
        build_model(resolve("own_models:build", {"depth": 2}), n_classes=2)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("own_models:missing", "has no function missing; define it there"),
        ("own_models:NOT_A_FUNCTION", "has no function NOT_A_FUNCTION"),
        ("own_absent:build", "module own_absent cannot be imported .*ModuleNotFoundError"),
        ("own_broken_module:build", "cannot be imported .ZeroDivisionError"),
        ("os:getcwd", r"cannot be imported .ImportError: os was not named with --module"),
        ("own_models:", "is not of the form package.module:function"),
        (":build", "is not of the form"),
        ("a b:build", "is not of the form"),
    ],
)
def test_driver_refuses_a_function_that_cannot_be_found(architecture: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        check_importable(architecture)


def test_driver_accepts_a_function_that_is_there() -> None:
    check_importable("own_models:build")


def test_asking_for_a_function_loads_no_keras() -> None:
    code = (
        "import sys\n"
        "from tuner.training.custom import check_importable\n"
        "from tuner.training.own_modules import name_modules\n"
        "name_modules(['json'])\n"
        "check_importable('json:dumps')\n"
        "sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_module_that_was_edited_is_read_again(tmp_path: Path) -> None:
    check_importable("own_models:build")
    (tmp_path / "own_models.py").write_text("def another(**parameters): ...\n")
    check_importable("own_models:another")


def test_the_trials_of_a_process_keep_the_code_that_it_has_imported(tmp_path: Path) -> None:
    hyperparameters = resolve("own_models:build", {"width": 4, "vocabulary_size": 50})
    build_model(hyperparameters, n_classes=3)
    for edited in ("def build(**parameters): return None", "def build(*, vocabu"):
        (tmp_path / "own_models.py").write_text(edited)
        assert build_model(hyperparameters, n_classes=3).count_params() == 50 * 4 + (4 + 1) * 3


@pytest.mark.parametrize("function", ["missing", "broken"])
def test_what_the_driver_has_found_may_be_missing_on_a_node(function: str) -> None:
    with pytest.raises(TrialBroke, match=function):
        build_model(resolve(f"own_models:{function}", {}), n_classes=2)


def test_every_model_of_a_module_has_the_dtype_policy_that_it_sets(tmp_path: Path) -> None:
    import keras

    policy = 'import keras\nkeras.config.set_dtype_policy("mixed_bfloat16")\n'
    (tmp_path / "own_models.py").write_text(policy + MODELS)
    for _ in range(2):
        keras.backend.clear_session()
        model = build_model(resolve("own_models:build", {"vocabulary_size": 50}), n_classes=2)
        assert model.layers[1].dtype_policy.name == "mixed_bfloat16"
        assert keras.config.dtype_policy().name == "float32"  # of tuner's own architectures
    (tmp_path / "own_models.py").write_text(MODELS)
    check_importable("own_models:build")
    model = build_model(resolve("own_models:build", {"vocabulary_size": 50}), n_classes=2)
    assert model.layers[1].dtype_policy.name == "float32"


def test_a_file_beside_the_data_takes_the_place_of_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    assert own_modules.user_folders()[-1] == str(tmp_path)
    for _ in range(2):
        own_modules.make_importable(own_modules.user_folders())
        assert sys.path[-1] == str(tmp_path)
        assert sys.path.count(str(tmp_path)) == 1


def test_only_own_architectures_need_folders_of_the_person() -> None:
    assert own_modules.folders_for(["lstm", "bilstm"]) == ()
    assert own_modules.folders_for(["lstm", "my_models:build"]) == own_modules.user_folders()
