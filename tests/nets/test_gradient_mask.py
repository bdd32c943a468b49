import torch

from umadapt.nets.gradient_mask import keep_probability, mask_gradient


def test_identity_forward_and_masked_backward() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 3, 40, 40, requires_grad=True)
    keep = torch.tensor([0.1, 1.0, 1.0])
    y = mask_gradient(x, keep)
    assert torch.equal(x, y)
    y.sum().backward()
    assert x.grad is not None
    assert set(x.grad.unique().tolist()) <= {0.0, 1.0}
    masked = (x.grad == 0).flatten(1).any(1)
    assert int(masked.sum()) == 3, "a random half of the samples is masked"
    predicted = x.argmax(1)
    of_masked = x.grad[masked, 0][predicted[masked] == 0]
    assert 0.05 < float(of_masked.mean()) < 0.15, "the frequent class keeps a tenth of its gradient"
    assert (x.grad[masked, 0][predicted[masked] != 0] == 1).all(), "rare classes keep all"


def test_keep_probability() -> None:
    keep = keep_probability((0.6, 0.2, 0.1, 0.1, 0.0), "class")
    assert keep is not None
    torch.testing.assert_close(keep, torch.tensor([1 / 6, 0.5, 1.0, 1.0, 1.0]))
    assert keep_probability((0.5, 0.5), "off") is None
    uniform = keep_probability((0.9, 0.1), "uniform")
    assert uniform is not None
    assert uniform.tolist() == [0.5, 0.5]
