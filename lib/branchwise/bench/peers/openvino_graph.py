"""A model of transformers as an OpenVINO model in float32, as OpenVINO GenAI takes it.

Written out by hand, since the usual converter (optimum-intel 2.2) wants a transformers older than ours,
and GenAI reads no float32 from GGUF files.

Shape legend: B prompts, S new tokens, T all tokens, H heads, D numbers a head.
"""

from pathlib import Path
from typing import Any

import numpy as np

from branchwise.bench.peers.weights import Weights

_PAST = "past_key_values.{}.{}"


def write(weights: Weights, folder: Path) -> None:
    """Write `openvino_model.xml` and `.bin` of a model to a folder."""
    import openvino as ov

    ov.save_model(_Graph(weights).model(), folder / "openvino_model.xml", compress_to_fp16=False)


class _Graph:
    """The operations of a decoder, made layer by layer."""

    def __init__(self, weights: Weights) -> None:
        from openvino import opset13

        self.ops: Any = opset13
        self.weights = weights
        self.sinks: list[Any] = []
        names = ("input_ids", "attention_mask", "position_ids")
        self.ids, self.seen, self.positions = (self._input(name, [-1, -1], np.int64) for name in names)
        self.beams = self._input("beam_idx", [-1], np.int32)
        self.batch = self.ops.gather(self.ops.shape_of(self.ids), self._whole(0), self._whole(0))

    def model(self) -> Any:
        """The whole of it: token ids to logits, keys and values as its state."""
        import openvino as ov

        weights, ops = self.weights, self.ops
        cos, sin = self._turns()
        mask = self._mask()
        table = ops.constant(weights["model.embed_tokens.weight"])
        hidden = ops.gather(table, ops.convert(self.ids, np.int32), self._whole(0))
        for layer in range(weights.num_layers):
            name = f"model.layers.{layer}"
            normed = self._norm(hidden, f"{name}.input_layernorm")
            hidden = ops.add(hidden, self._attention(normed, layer, cos, sin, mask))
            normed = self._norm(hidden, f"{name}.post_attention_layernorm")
            hidden = ops.add(hidden, self._mlp(normed, f"{name}.mlp"))
        hidden = self._norm(hidden, "model.norm")
        # A tied head reads the very constant of the embedding, which then is held once.
        head = table if weights.is_tied else ops.constant(weights["lm_head.weight"])
        logits = ops.matmul(hidden, head, False, True)
        logits.output(0).get_tensor().set_names({"logits"})
        inputs = [self.ids, self.seen, self.positions, self.beams]
        return ov.Model([ops.result(logits)], self.sinks, inputs, "decoder")

    def _input(self, name: str, shape: list[int], kind: Any) -> Any:
        given = self.ops.parameter(shape, kind, name=name)
        given.output(0).get_tensor().set_names({name})
        return given

    def _whole(self, *numbers: int) -> Any:
        return self.ops.constant(np.array(numbers if len(numbers) > 1 else numbers[0], dtype=np.int64))

    def _linear(self, rows: Any, name: str) -> Any:
        product = self.ops.matmul(rows, self.ops.constant(self.weights[f"{name}.weight"]), False, True)
        bias = f"{name}.bias"
        return (
            self.ops.add(product, self.ops.constant(self.weights[bias]))
            if bias in self.weights
            else product
        )

    def _norm(self, rows: Any, name: str) -> Any:
        ops = self.ops
        squares = ops.reduce_mean(ops.power(rows, np.float32(2)), self._whole(-1), True)
        scale = ops.divide(np.float32(1), ops.sqrt(ops.add(squares, np.float32(self.weights.norm_eps))))
        return ops.multiply(ops.multiply(rows, scale), ops.constant(self.weights[f"{name}.weight"]))

    def _mlp(self, rows: Any, name: str) -> Any:
        gate = self.ops.swish(self._linear(rows, f"{name}.gate_proj"))
        up = self._linear(rows, f"{name}.up_proj")
        return self._linear(self.ops.multiply(gate, up), f"{name}.down_proj")

    def _turns(self) -> tuple[Any, Any]:
        """Cosines and sines of the rotary embedding, (B, 1, S, D)."""
        ops, width = self.ops, self.weights.head_dim
        rates = self.weights.rope_theta ** (-np.arange(0, width, 2, dtype=np.float64) / width)
        places = ops.convert(ops.unsqueeze(self.positions, self._whole(-1)), np.float32)
        angles = ops.matmul(places, ops.constant(rates.astype(np.float32)[None, None]), False, False)
        whole = ops.unsqueeze(ops.concat([angles, angles], -1), self._whole(1))
        return ops.cos(whole), ops.sin(whole)

    def _mask(self) -> Any:
        """Which token sees which, (B, 1, S, T): each what stands at its own position or before."""
        ops = self.ops
        total = ops.gather(ops.shape_of(self.seen), self._whole(1), self._whole(0))
        places = ops.range(self._whole(0), total, self._whole(1), "i64")
        own = ops.unsqueeze(ops.unsqueeze(self.positions, self._whole(1)), self._whole(-1))
        return ops.less_equal(places, own)

    def _heads(self, rows: Any, count: int, norm: str | None = None) -> Any:
        """(B, S, H * D) as (B, H, S, D)."""
        ops = self.ops
        split = ops.reshape(rows, self._whole(0, 0, count, self.weights.head_dim), True)
        if norm is not None and f"{norm}.weight" in self.weights:
            split = self._norm(split, norm)
        return ops.transpose(split, self._whole(0, 2, 1, 3))

    def _turned(self, rows: Any, cos: Any, sin: Any) -> Any:
        ops, half = self.ops, self.weights.head_dim // 2
        first = ops.slice(
            rows, self._whole_list(0), self._whole_list(half), self._whole_list(1), self._whole_list(3)
        )
        second = ops.slice(
            rows,
            self._whole_list(half),
            self._whole_list(2 * half),
            self._whole_list(1),
            self._whole_list(3),
        )
        crossed = ops.concat([ops.multiply(second, np.float32(-1)), first], -1)
        return ops.add(ops.multiply(rows, cos), ops.multiply(crossed, sin))

    def _whole_list(self, *numbers: int) -> Any:
        return self.ops.constant(np.array(numbers, dtype=np.int64))

    def _with_past(self, new: Any, name: str) -> Any:
        """What is held, and after it what is new."""
        from openvino import PartialShape, Type
        from openvino.op.util import Variable, VariableInfo

        ops, weights = self.ops, self.weights
        info = VariableInfo()
        info.data_shape = PartialShape([-1, weights.num_kv_heads, -1, weights.head_dim])
        info.data_type = Type.f32
        info.variable_id = name
        variable = Variable(info)
        shape = ops.concat(
            [
                ops.unsqueeze(self.batch, self._whole(0)),
                self._whole(weights.num_kv_heads, 0, weights.head_dim),
            ],
            0,
        )
        empty = ops.broadcast(ops.constant(np.float32(0)), shape)
        held = ops.gather(ops.read_value(empty, variable), self.beams, self._whole(0))
        whole = ops.concat([held, new], 2)
        self.sinks.append(ops.assign(whole, variable))
        return whole

    def _for_every_head(self, rows: Any) -> Any:
        """Keys or values of few heads, repeated for all that ask them."""
        ops, weights = self.ops, self.weights
        times = weights.num_heads // weights.num_kv_heads
        if times == 1:
            return rows
        opened = ops.unsqueeze(rows, self._whole(2))
        repeated = ops.broadcast(opened, self._whole(1, 1, times, 1, 1), broadcast_spec="BIDIRECTIONAL")
        return ops.reshape(repeated, self._whole(0, weights.num_heads, -1, weights.head_dim), True)

    def _attention(self, rows: Any, layer: int, cos: Any, sin: Any, mask: Any) -> Any:
        ops, weights, name = self.ops, self.weights, f"model.layers.{layer}.self_attn"
        queries = self._heads(self._linear(rows, f"{name}.q_proj"), weights.num_heads, f"{name}.q_norm")
        keys = self._heads(self._linear(rows, f"{name}.k_proj"), weights.num_kv_heads, f"{name}.k_norm")
        values = self._heads(self._linear(rows, f"{name}.v_proj"), weights.num_kv_heads)
        keys = self._with_past(self._turned(keys, cos, sin), _PAST.format(layer, "key"))
        values = self._with_past(values, _PAST.format(layer, "value"))
        seen = ops.scaled_dot_product_attention(
            self._turned(queries, cos, sin),
            self._for_every_head(keys),
            self._for_every_head(values),
            mask,
        )
        joined = ops.reshape(
            ops.transpose(seen, self._whole(0, 2, 1, 3)),
            self._whole(0, 0, weights.num_heads * weights.head_dim),
            True,
        )
        return self._linear(joined, f"{name}.o_proj")
