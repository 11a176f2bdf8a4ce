"""How each projection becomes a synapse process of Lava, connected on both sides.

Weights that are shared over the sheet stay shared: convolutions, pooling and one-to-one are Conv.
A transposed convolution or upsampling by (r, q) is a Conv with r * q outputs for each channel, one
for each phase of the larger sheet, whose output port is viewed as that sheet; or a Sparse matrix.
Both are exact, and the one that stores fewer weights is taken (`phases`).

Sheets are (width, height, channels) in Lava, (channels, height, width) everywhere else here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

from lavaseg import network as description
from lavaseg.deploy.lava.errors import LavaError
from lavaseg.network import Operator, Projection
from lavaseg.network.delays import Delay
from lavaseg.network.grids import Phases, fan_out, matrix, phases
from lavaseg.network.integers import IntegerNetwork, hands_on
from lavaseg.network.ranges import message_ranges


def synapse(
    net: IntegerNetwork, projection: Projection, source: OutPort, target: InPort, wait: Delay = 0
) -> AbstractProcess:
    """The process of a projection, connected.

    Args:
        source: emits the spikes that it sees.
        target: takes the current.
        wait: steps that its synapses hold spikes back, one number or one for each channel.

    Raises:
        LavaError: an operator that is not in `BUILDERS`.
    """
    if wait:
        return _delayed(net, projection, source, target, wait)
    kind = type(projection.operator)
    if kind not in BUILDERS:
        raise LavaError(
            f"projection {projection.name!r}: Lava has no process for the operator {kind.kind!r}"
        )
    return BUILDERS[kind](net, projection, source, target)


def message_bits(net: IntegerNetwork, source: str) -> int:
    """Bits of what a node sends: 0 for binary spikes."""
    if source == net.network.input.name:
        return net.network.input.message_bits
    if not isinstance(net.network[source], description.Relay):
        return 0
    messages = message_ranges(net.network, net.weights)
    return max(int(abs(limit)) for limit in messages[source]).bit_length()


def is_convolution(net: IntegerNetwork, projection: Projection) -> bool:
    """Whether a projection becomes a Conv, else a matrix."""
    operator = projection.operator
    if isinstance(operator, description.Conv | description.OneToOne | description.SumPool):
        return True
    enlarging = isinstance(operator, description.ConvTranspose | description.Upsample)
    return enlarging and _phases(net, projection) is not None


def _phases(net: IntegerNetwork, projection: Projection) -> Phases | None:
    """The convolution that stands for an enlarging operator; None: a matrix needs fewer weights."""
    shape = net.network.shape(projection.source)
    form = phases(projection.operator, net.weights[projection.name], shape)
    synapses = int(fan_out(projection.operator, shape).sum())
    return form if form is not None and form.weight.size < synapses else None


def depthwise(
    kernel: np.ndarray,
    source: OutPort,
    *,
    stride: description.Size = (1, 1),
    padding: description.Size = (0, 0),
    bits: int = 0,
) -> Conv:
    """A Conv that keeps channels apart; `kernel` is (C, kernel height, kernel width)."""
    return convolution(kernel[:, None], source, stride, padding, groups=len(kernel), bits=bits)


def unchanged(source: OutPort, bits: int) -> Conv:
    """Synapses that hand graded spikes on as they are: purely excitatory ones hold a 1."""
    return depthwise(np.ones((source.shape[2], 1, 1), np.int32), source, bits=bits)


def convolution(
    weight: np.ndarray,
    source: OutPort,
    stride: description.Size = (1, 1),
    padding: description.Size = (0, 0),
    dilation: description.Size = (1, 1),
    groups: int = 1,
    bits: int = 0,
) -> Conv:
    """A Conv with weights in torch's orientation (out, in / groups, height, width)."""
    # torch correlates, Lava convolves: flip; (out, in, h, w) -> (out, w, h, in)
    turned = weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1)
    synapse = Conv(
        weight=np.ascontiguousarray(turned, np.int32),
        input_shape=source.shape,
        stride=stride[::-1],
        padding=padding[::-1],
        dilation=dilation[::-1],
        groups=groups,
        num_message_bits=bits,
    )
    source.connect(synapse.s_in)
    return synapse


def _conv(
    net: IntegerNetwork, projection: Projection, source: OutPort, target: InPort
) -> AbstractProcess:
    operator = projection.operator
    assert isinstance(operator, description.Conv)
    synapse = convolution(
        net.weights[projection.name],
        source,
        operator.stride,
        operator.padding,
        operator.dilation,
        operator.groups,
        message_bits(net, projection.source),
    )
    synapse.a_out.connect(target)
    return synapse


def _sum_pool(
    net: IntegerNetwork, projection: Projection, source: OutPort, target: InPort
) -> AbstractProcess:
    operator = projection.operator
    if isinstance(operator, description.OneToOne):
        operator = description.SumPool((1, 1), (1, 1))
    assert isinstance(operator, description.SumPool)
    gain = net.weights[projection.name].reshape(-1, 1, 1)
    synapse = depthwise(
        np.tile(gain, (1, *operator.kernel)),
        source,
        stride=operator.stride,
        padding=operator.padding,
        bits=message_bits(net, projection.source),
    )
    synapse.a_out.connect(target)
    return synapse


def _all_to_all(synapse: AbstractProcess, source: OutPort, target: InPort) -> AbstractProcess:
    """Connect a process whose weights are a matrix over flattened sheets."""
    source.flatten().connect(synapse.s_in)
    synapse.a_out.reshape(target.shape).connect(target)
    return synapse


def _dense(
    net: IntegerNetwork, projection: Projection, source: OutPort, target: InPort
) -> AbstractProcess:
    weight = net.weights[projection.name].transpose(0, 3, 2, 1)
    synapse = Dense(
        weights=np.ascontiguousarray(weight, np.int32).reshape(len(weight), -1),
        num_message_bits=message_bits(net, projection.source),
        # else Lava takes all-negative weights for another format, whose least weight is -255
        sign_mode=SignMode.MIXED,
    )
    return _all_to_all(synapse, source, target)


def _enlarging(
    net: IntegerNetwork, projection: Projection, source: OutPort, target: InPort
) -> AbstractProcess:
    shape, weight = net.network.shape(projection.source), net.weights[projection.name]
    bits = message_bits(net, projection.source)
    form = _phases(net, projection)
    if form is not None:
        synapse = convolution(
            form.weight, source, padding=form.padding, groups=form.groups, bits=bits
        )
        rows, columns = form.factor
        width, height, _ = synapse.a_out.shape
        split = synapse.a_out.reshape((width, height, form.groups, rows, columns, form.outputs))
        whole = split.transpose((0, 4, 1, 3, 2, 5))
        whole.reshape(target.shape).connect(target)
        return synapse
    sparse = Sparse(
        weights=matrix(projection.operator, weight, shape),
        num_message_bits=bits,
        sign_mode=SignMode.MIXED,
    )
    return _all_to_all(sparse, source, target)


def _delayed(
    net: IntegerNetwork, projection: Projection, source: OutPort, target: InPort, wait: Delay
) -> AbstractProcess:
    weights = matrix(
        projection.operator, net.weights[projection.name], net.network.shape(projection.source)
    )
    each = np.tile(wait, weights.shape[1] // np.size(wait))  # of each neuron of the source
    delays = csr_matrix((each[weights.indices], weights.indices, weights.indptr), weights.shape)
    ones = hands_on(projection, net.weights[projection.name])
    sign = SignMode.EXCITATORY if ones else SignMode.MIXED
    synapse = DelaySparse(
        weights=weights, delays=delays, max_delay=int(np.max(wait)), sign_mode=sign
    )
    return _all_to_all(synapse, source, target)


Builder = Callable[[IntegerNetwork, Projection, OutPort, InPort], AbstractProcess]
BUILDERS: Mapping[type[Operator], Builder] = {
    description.Conv: _conv,
    description.ConvTranspose: _enlarging,
    description.Dense: _dense,
    description.OneToOne: _sum_pool,
    description.SumPool: _sum_pool,
    description.Upsample: _enlarging,
}
"""How each operator becomes a synapse process; an operator that is not here cannot be deployed."""
