"""An LSTM's loop over time in TensorFlow's fused CPU kernels. Shapes here are time-major.

`batch` sequences, `time` steps, `features` a step, `units`. The kernels hold the four gates in the order input,
cell, forget, output; Keras in input, forget, cell, output.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

_GATE_ORDER = (0, 2, 1, 3)  # the kernels' gates as positions among Keras'; its own inverse
_NO_CLIPPING = -1.0


def run_lstm(
    sequences: Any,
    initial_state: Sequence[Any],
    *,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any,
    recurrent_mask: Any | None = None,
) -> tuple[Any, list[Any]]:
    """The outputs and the last states of an LSTM with tanh and sigmoid.

    Args:
        sequences: `(batch, time, features)` float32.
        initial_state: output and cell before the first step, `(batch, units)` each.
        kernel, recurrent_kernel, bias: as Keras keeps them, `(features, 4 * units)`, `(units, 4 * units)` and
            `(4 * units,)`.
        recurrent_mask: `(batch, units)`, what the output is multiplied with before the next step
            sees it; recurrent dropout (Gal & Ghahramani, 2016) keeps one mask for the whole sequence.

    Returns:
        `(batch, time, units)`, and output and cell after the last step.
    """
    steps = tf.transpose(sequences, (1, 0, 2))
    weights = _reordered(tf.concat([kernel, recurrent_kernel], axis=0))
    if recurrent_mask is None:
        outputs, cells = _run_whole(steps, initial_state, weights, _reordered(bias))
    else:
        outputs, cells = _run_stepwise(
            steps, *initial_state, weights, _reordered(bias), recurrent_mask
        )
    return tf.transpose(outputs, (1, 0, 2)), [outputs[-1], cells[-1]]


def _reordered(gates: Any) -> Any:
    """`(..., 4 * units)` with its four parts in the kernels' order."""
    parts = tf.split(gates, 4, axis=-1)
    return tf.concat([parts[position] for position in _GATE_ORDER], axis=-1)


def _run_whole(
    steps: Any, initial_state: Sequence[Any], weights: Any, bias: Any
) -> tuple[Any, Any]:
    """Outputs and cells `(time, batch, units)`; the loop is inside the kernel, its gradient's too."""
    output, cell = initial_state
    run = tf.raw_ops.BlockLSTM(
        seq_len_max=tf.shape(steps, out_type=tf.int64)[0],
        x=steps,
        cs_prev=cell,
        h_prev=output,
        w=weights,
        b=bias,
        **_plain(bias),
        forget_bias=0.0,
        cell_clip=_NO_CLIPPING,
    )
    return run.h, run.cs


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _run_stepwise(
    steps: Any, output: Any, cell: Any, weights: Any, bias: Any, mask: Any
) -> tuple[Any, Any]:
    """Outputs and cells `(time, batch, units)`; one kernel per step, with the mask between two of them."""
    count = tf.shape(steps)[0]
    plain = _plain(bias)
    features = tf.shape(steps)[2]

    def forward(step: Any, output: Any, cell: Any, *saved: Any) -> Any:
        made = tf.raw_ops.LSTMBlockCell(
            x=steps[step],
            cs_prev=cell,
            h_prev=output * mask,
            w=weights,
            b=bias,
            **plain,
            forget_bias=0.0,
            cell_clip=_NO_CLIPPING,
        )
        written = [array.write(step, value) for array, value in zip(saved, made, strict=True)]
        return step + 1, made.h, made.cs, *written

    arrays = [
        tf.TensorArray(steps.dtype, count, element_shape=cell.shape, clear_after_read=False)
        for _ in range(7)
    ]
    saved = tf.while_loop(
        lambda step, *_: step < count, forward, (0, output, cell, *arrays), parallel_iterations=1
    )[3:]
    inputs, cells, forgets, outputs_, candidates, activated, outputs = saved
    all_outputs, all_cells = outputs.stack(), cells.stack()

    def gradient(output_gradients: Any, cell_gradients: Any) -> tuple[Any, ...]:
        """By way of the gates' gradients: with all of them at hand, the weights' is one matrix product."""
        recurrent = weights[features:]
        cells_before = tf.concat([cell[None], all_cells[:-1]], axis=0)

        def backward(step: Any, to_output: Any, to_cell: Any, gates: Any) -> Any:
            made = tf.raw_ops.LSTMBlockCellGrad(
                x=steps[step],
                cs_prev=cells_before[step],
                h_prev=output,  # of the inputs only the saved values matter here
                w=weights,
                b=bias,
                **plain,
                i=inputs.read(step),
                cs=cells.read(step),
                f=forgets.read(step),
                o=outputs_.read(step),
                ci=candidates.read(step),
                co=activated.read(step),
                cs_grad=to_cell + cell_gradients[step],
                h_grad=to_output + output_gradients[step],
            )
            before = tf.matmul(made.dicfo, recurrent, transpose_b=True) * mask
            return step - 1, before, made.cs_prev_grad, gates.write(step, made.dicfo)

        gates = tf.TensorArray(steps.dtype, count, element_shape=(cell.shape[0], bias.shape[0]))
        _, to_output, to_cell, gates = tf.while_loop(
            lambda step, *_: step >= 0,
            backward,
            (count - 1, tf.zeros_like(output), tf.zeros_like(cell), gates),
            parallel_iterations=1,
        )
        flat = tf.reshape(gates.stack(), (-1, bias.shape[0]))
        outputs_before = tf.concat([output[None], all_outputs[:-1]], axis=0) * mask
        seen = tf.concat([steps, outputs_before], axis=2)
        return (
            tf.reshape(tf.matmul(flat, weights[:features], transpose_b=True), tf.shape(steps)),
            to_output,
            to_cell,
            tf.matmul(tf.reshape(seen, (-1, weights.shape[0])), flat, transpose_a=True),
            tf.reduce_sum(flat, axis=0),
            tf.zeros_like(mask),  # a random draw has no gradient
        )

    return (all_outputs, all_cells), gradient


def _plain(bias: Any) -> dict[str, Any]:
    """Zeros for the peepholes (Gers & Schmidhuber, 2000), whose weights the kernels require."""
    nothing = tf.zeros_like(bias[: bias.shape[0] // 4])
    return {"wci": nothing, "wcf": nothing, "wco": nothing, "use_peephole": False}
