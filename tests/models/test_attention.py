"""Attention: equal to Hugging Face's with copied weights, blind to padding and to the future, twice
differentiable.
"""

import pytest
import torch
from torch import nn

from metarec.data.schema import BadInput
from metarec.models.attention import Attention, Block, LayerNorm


@pytest.fixture
def x_BLD():
    return torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))


def seeded(module, seed=1):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return module.eval()


def test_equals_hugging_face_bert_with_copied_weights(x_BLD):
    bert = pytest.importorskip("transformers.models.bert.modeling_bert")
    from transformers import BertConfig

    config = BertConfig(hidden_size=8, num_attention_heads=2, attn_implementation="eager")
    theirs, ours = seeded(bert.BertSelfAttention(config)), seeded(Attention(8, 2), seed=2)
    for name in ("query", "key", "value"):
        getattr(ours, name).load_state_dict(getattr(theirs, name).state_dict())
    with torch.no_grad():
        ours.out.weight.copy_(torch.eye(8))
        ours.out.bias.zero_()
    is_real = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], dtype=torch.bool)
    blocked = (1.0 - is_real[:, None, None, :].float()) * torch.finfo(torch.float32).min
    expected = theirs(x_BLD, attention_mask=blocked)[0]
    torch.testing.assert_close(ours(x_BLD, is_real_BM=is_real), expected, rtol=1e-5, atol=1e-6)


def test_causal_form_equals_hugging_face_gpt2_with_copied_weights(x_BLD):
    pytest.importorskip("transformers")
    from transformers import GPT2Config, GPT2Model

    config = GPT2Config(
        n_embd=8,
        n_head=2,
        n_layer=1,
        n_positions=8,
        vocab_size=11,
        attn_implementation="eager",
        resid_pdrop=0.0,
        attn_pdrop=0.0,
        embd_pdrop=0.0,
        activation_function="gelu",
    )
    theirs = seeded(GPT2Model(config))
    ours, block = seeded(Block(8, 2), seed=2), theirs.h[0]
    with torch.no_grad():
        parts = block.attn.c_attn.weight.chunk(3, 1), block.attn.c_attn.bias.chunk(3)
        for part, w, b in zip(("query", "key", "value"), *parts, strict=True):
            getattr(ours.attention, part).weight.copy_(w.T)
            getattr(ours.attention, part).bias.copy_(b)
        for linear, theirs_linear in (
            (ours.attention.out, block.attn.c_proj),
            (ours.feed_forward[0], block.mlp.c_fc),
            (ours.feed_forward[3], block.mlp.c_proj),
        ):
            linear.weight.copy_(theirs_linear.weight.T)
            linear.bias.copy_(theirs_linear.bias)
        ours.norm_attention.load_state_dict(block.ln_1.state_dict())
        ours.norm_feed.load_state_dict(block.ln_2.state_dict())
    positions = torch.arange(5)
    expected = theirs(inputs_embeds=x_BLD, output_hidden_states=True).last_hidden_state
    got = theirs.ln_f(ours(x_BLD + theirs.wpe(positions), causal=True))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_padding_and_future_change_nothing(x_BLD):
    attention = seeded(Attention(8, 2))
    is_real = torch.tensor([[True, True, True, False, False]]).expand(3, 5)
    padded = attention(x_BLD, is_real_BM=is_real)[:, :3]
    torch.testing.assert_close(padded, attention(x_BLD[:, :3]))
    changed = x_BLD.clone()
    changed[:, 3:] += 100.0
    torch.testing.assert_close(
        attention(changed, causal=True)[:, :3], attention(x_BLD, causal=True)[:, :3]
    )
    assert not torch.allclose(attention(changed)[:, :3], attention(x_BLD)[:, :3])


def test_nothing_real_gives_only_the_output_bias(x_BLD):
    attention = seeded(Attention(8, 2))
    mixed = attention(x_BLD, is_real_BM=torch.zeros(3, 5, dtype=torch.bool))
    torch.testing.assert_close(mixed, attention.out.bias.expand_as(mixed))


def test_cross_attention_reads_the_memory(x_BLD):
    block = seeded(Block(8, 2, cross=True))
    memory = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(3))
    plain = block(x_BLD, memory_BMD=memory)
    assert not torch.allclose(plain, block(x_BLD, memory_BMD=memory * 2))
    only_two = torch.tensor([[True, True, False, False]]).expand(3, 4)
    torch.testing.assert_close(
        block(x_BLD, memory_BMD=memory, memory_is_real_BM=only_two),
        block(x_BLD, memory_BMD=memory[:, :2]),
    )


def test_layer_norm_equals_torch(x_BLD):
    theirs, ours = seeded(nn.LayerNorm(8)), LayerNorm(8)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(x_BLD), theirs(x_BLD))


def test_second_derivatives_are_right():
    """Finite differences of the gradient agree with the gradient of the gradient, in double
    precision.
    """
    block = seeded(Block(4, 2, hidden=8)).double()
    x = torch.randn(
        1, 3, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64, requires_grad=True
    )
    is_real = torch.tensor([[True, True, False]])
    assert torch.autograd.gradgradcheck(lambda t: block(t, is_real_BL=is_real, causal=True), x)


def test_vmap_equals_a_loop_through_second_order_steps():
    block = seeded(Block(4, 2, hidden=8)).double()
    params = {name: p.detach() for name, p in block.named_parameters()}
    tasks = torch.randn(3, 2, 3, 4, generator=torch.Generator().manual_seed(6), dtype=torch.float64)

    def after_one_step(prior, x):
        def loss(p):
            return torch.func.functional_call(block, p, (x,)).square().mean()

        slopes = torch.func.grad(loss)(prior)
        return loss({name: value - 0.1 * slopes[name] for name, value in prior.items()})

    batched = torch.func.grad(
        lambda p: torch.func.vmap(after_one_step, in_dims=(None, 0))(p, tasks).sum()
    )(params)
    for name, looped in torch.func.grad(lambda p: sum(after_one_step(p, x) for x in tasks))(
        params
    ).items():
        torch.testing.assert_close(batched[name], looped, rtol=1e-10, atol=1e-12)


def test_width_must_divide_by_heads():
    with pytest.raises(BadInput, match="dim=10 and heads=4"):
        Attention(10, 4)
