"""An LSTM's loop over time in JAX, for a CPU, which ends with the last real step of the batch. Shapes are time-major.

XLA compiles anew for every width, so batches have few widths there and much padding: a loop over the whole width takes
twice the steps. Its gradient is written by hand: what JAX derives from a scan takes half as long again, and JAX derives
none from a loop of unknown length.

`batch` sequences, `time` steps, `features` a step, `units`; Keras' order of gates: input, forget, cell, output.
"""

from collections.abc import Sequence
from typing import Any

import jax
from jax import lax
from jax import numpy as jnp


def run_lstm(
    sequences: Any,
    initial_state: Sequence[Any],
    *,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any,
    recurrent_mask: Any | None = None,
    is_real: Any | None = None,
) -> tuple[Any, list[Any]]:
    """The outputs and the last states of an LSTM with tanh and sigmoid, as Keras computes them.

    Args:
        sequences: `(batch, time, features)` float32.
        initial_state: output and cell before the first step, `(batch, units)` each.
        kernel, recurrent_kernel, bias: as Keras keeps them, `(features, 4 * units)`, `(units, 4 * units)` and
            `(4 * units,)`.
        recurrent_mask: `(batch, units)`, what the output is multiplied with before the next step sees it.
        is_real: `(batch, time)` bool. Where it is False a sequence keeps its states, and its output is the last one.

    Returns:
        `(batch, time, units)`, and output and cell after the last step.
    """
    steps = jnp.swapaxes(sequences, 0, 1)
    time = len(steps)
    if is_real is None:
        is_real = jnp.ones(sequences.shape[:2], bool)
    real = jnp.swapaxes(is_real, 0, 1)[:, :, None]
    order = jnp.arange(time)[:, None, None]
    count = jnp.max(jnp.where(real, order + 1, 0))
    weights = jnp.concatenate([jnp.asarray(kernel), jnp.asarray(recurrent_kernel)])
    given = (steps, real, count, recurrent_mask)
    outputs, output, cell = _run(given, *initial_state, weights, jnp.asarray(bias))
    outputs = jnp.where(order < count, outputs, output)
    return jnp.swapaxes(outputs, 0, 1), [output, cell]


@jax.custom_vjp  # type: ignore[untyped-decorator]
def _run(given: Any, output: Any, cell: Any, weights: Any, bias: Any) -> tuple[Any, Any, Any]:
    """Outputs `(time, batch, units)`, zero past `count` steps, and the states after them."""
    steps, real, count, mask = given

    def step(t: Any, state: Any) -> Any:
        output, cell, outputs = state
        gates = _gates(_seen(steps[t], output, mask), weights, bias)
        output, cell = _next(gates, output, cell, real[t])
        return output, cell, outputs.at[t].set(output)

    nothing = jnp.zeros((len(steps), *output.shape), output.dtype)
    output, cell, outputs = lax.fori_loop(0, count, step, (output, cell, nothing))
    return outputs, output, cell


def _forward(
    given: Any, output: Any, cell: Any, weights: Any, bias: Any
) -> tuple[tuple[Any, Any, Any], Any]:
    """`_run`, and what its gradient needs: states before each step and after the last, and the gates of each."""
    steps, real, count, mask = given
    time = len(steps)

    def step(t: Any, state: Any) -> Any:
        output, cell, outputs, cells, all_gates = state
        gates = _gates(_seen(steps[t], output, mask), weights, bias)
        output, cell = _next(gates, output, cell, real[t])
        outputs, cells = outputs.at[t + 1].set(output), cells.at[t + 1].set(cell)
        return output, cell, outputs, cells, all_gates.at[t].set(gates)

    nothing = jnp.zeros((time + 1, *output.shape), output.dtype)
    no_gates = jnp.zeros((time, len(output), len(bias)), output.dtype)
    first = (output, cell, nothing.at[0].set(output), nothing.at[0].set(cell), no_gates)
    output, cell, outputs, cells, all_gates = lax.fori_loop(0, count, step, first)
    return (outputs[1:], output, cell), (given, weights, outputs, cells, all_gates)


def _backward(saved: Any, gradients: tuple[Any, Any, Any]) -> tuple[Any, ...]:
    (steps, real, count, mask), weights, outputs, cells, all_gates = saved
    to_outputs, to_last_output, to_last_cell = gradients
    features = steps.shape[2]
    across = weights.T

    def step(i: Any, state: Any) -> Any:
        to_output, to_cell, to_steps, to_weights, to_bias = state
        t = count - 1 - i
        into, forget, candidate, out = jnp.split(all_gates[t], 4, axis=1)
        activated = jnp.tanh(cells[t + 1])
        to_output = to_output + to_outputs[t]
        # A step that is not real hands them on as they are, and gets none itself.
        own_output, own_cell = jnp.where(real[t], to_output, 0), jnp.where(real[t], to_cell, 0)
        own_cell = own_cell + own_output * out * (1 - activated**2)
        to_gates = jnp.concatenate(
            [
                own_cell * candidate * into * (1 - into),
                own_cell * cells[t] * forget * (1 - forget),
                own_cell * into * (1 - candidate**2),
                own_output * activated * out * (1 - out),
            ],
            axis=1,
        )
        to_seen = to_gates @ across
        before = to_seen[:, features:] if mask is None else to_seen[:, features:] * mask
        return (
            before + jnp.where(real[t], 0, to_output),
            own_cell * forget + jnp.where(real[t], 0, to_cell),
            to_steps.at[t].set(to_seen[:, :features]),
            to_weights + _seen(steps[t], outputs[t], mask).T @ to_gates,
            to_bias + to_gates.sum(axis=0),
        )

    nothing = jnp.zeros_like(steps), jnp.zeros_like(weights), jnp.zeros_like(weights[0])
    first = (to_last_output, to_last_cell, *nothing)
    to_output, to_cell, to_steps, to_weights, to_bias = lax.fori_loop(0, count, step, first)
    no_gradient = None if mask is None else jnp.zeros_like(mask)  # a random draw has none
    return (to_steps, None, None, no_gradient), to_output, to_cell, to_weights, to_bias


_run.defvjp(_forward, _backward)


def _seen(step: Any, output: Any, mask: Any | None) -> Any:
    """`(batch, features + units)`: what the gates see of a step and of the output before it."""
    return jnp.concatenate([step, output if mask is None else output * mask], axis=1)


def _gates(seen: Any, weights: Any, bias: Any) -> Any:
    """`(batch, 4 * units)`, activated."""
    into, forget, candidate, out = jnp.split(seen @ weights + bias, 4, axis=1)
    return jnp.concatenate(
        [_sigmoid(into), _sigmoid(forget), jnp.tanh(candidate), _sigmoid(out)], axis=1
    )


def _next(gates: Any, output: Any, cell: Any, real: Any) -> tuple[Any, Any]:
    """Output and cell after a step; where it is not real, as before it."""
    into, forget, candidate, out = jnp.split(gates, 4, axis=1)
    new_cell = forget * cell + into * candidate
    return jnp.where(real, out * jnp.tanh(new_cell), output), jnp.where(real, new_cell, cell)


def _sigmoid(x: Any) -> Any:
    return 0.5 * jnp.tanh(0.5 * x) + 0.5
