"""Several players in one loop: who is updated when, on whose gradient, and resuming."""

import numpy as np
import pytest
import torch
from stopping import train_until
from torch import nn

from mri2pet.state import Average
from mri2pet.training import Budget, train
from mri2pet.turns import Place, Turn, accumulated


class Duel:
    """Two weights; a's loss is a * x, b's loss is a * b * x, both written down."""

    betas = (0.0, 0.9)

    def __init__(self, turns):
        self.a, self.b = (nn.Linear(1, 1, bias=False) for _ in range(2))
        for linear, start in ((self.a, 2.0), (self.b, 3.0)):
            nn.init.constant_(linear.weight, start)
        self.network, self._turns, self.places = self.b, turns, []

    def players(self):
        return {"a": self.a, "b": self.b}

    def turns(self, place):
        self.places.append(place)
        return self._turns(place)

    def draw(self, n, generator):
        return {"u": torch.rand(n, generator=generator)}

    def losses(self, calls, batch, draws, player):
        value = calls["a"](batch["x"])
        loss = value if player == "a" else calls["b"](value)
        return {"loss": loss.mean(), f"{player}_u": draws["u"].mean()}


class Ones:
    def __len__(self):
        return 6

    def batch(self, indices):
        return {"x": torch.ones(len(indices), 1)}


class PlainSGD(torch.optim.SGD):
    def __init__(self, parameters, **_):
        super().__init__(parameters, lr=1.0)


def budget(**changes):
    plain = {"learning_rate": 1.0, "learning_rate_schedule": "constant"}
    return Budget(
        **{"steps": 1, "batch_size": 2, "clip_norm": 99.0, **plain, **changes}
    )


def both(place):
    return [Turn("a", clear_before=("a",)), Turn("b", clear_before=("b",))]


def test_players_learn_in_turns_from_the_same_batch(monkeypatch):
    monkeypatch.setattr(torch.optim, "Adam", PlainSGD)
    duel = Duel(both)
    trained = train(duel, Ones(), budget(), seed=0)
    # a: 2 - 1 = 1; then b sees the new a: 3 - 1 = 2.
    assert duel.a.weight.item() == pytest.approx(1.0)
    assert duel.b.weight.item() == pytest.approx(2.0)
    [record] = trained.history
    assert record["a_loss"] == 2.0 and record["b_loss"] == pytest.approx(3.0)
    assert set(trained.players) == {"a", "b"} and trained.network is duel.b


def test_gradients_stay_until_somebody_clears_them(monkeypatch):
    """The released fault in small: a is updated with what b's loss has left."""
    monkeypatch.setattr(torch.optim, "Adam", PlainSGD)

    def turns(place):
        return [Turn("b", update=False), Turn("a", clear_after=("a", "b"))]

    duel = Duel(turns)
    train(duel, Ones(), budget(), seed=0)
    assert duel.a.weight.item() == pytest.approx(2.0 - 1.0 - 3.0)
    assert duel.b.weight.item() == 3.0


def test_places_count_micro_batches_within_the_epoch():
    duel = Duel(both)
    train(duel, Ones(), budget(steps=4, batch_size=4, accumulation_steps=2), seed=0)
    seen = [(p.step, p.part, p.batch) for p in duel.places]
    assert seen == [(i // 2, i % 2, i % 3) for i in range(8)]
    assert all(p.parts == 2 for p in duel.places)


def test_left_gradients_survive_a_stop(tmp_path):
    """Updates every third step only; stopped in between."""

    def turns(place):
        due = place.step % 3 == 2
        after = ("a", "b") if due else ()
        return [Turn("a", update=due), Turn("b", update=due, clear_after=after)]

    long = budget(steps=6, checkpoint_every=1)
    whole = train(Duel(turns), Ones(), long, seed=1)
    path = tmp_path / "state.pt"
    train_until(2, Duel(turns), Ones(), long, seed=1, checkpoint=path)
    resumed = train(Duel(turns), Ones(), long, seed=1, checkpoint=path)
    assert resumed.history == whole.history
    for name, player in whole.players.items():
        assert torch.equal(player.weight, resumed.players[name].weight)


def test_the_average_follows_its_network_to_another_device():
    """As to a GPU, where the network goes after the average was begun."""
    network = nn.Linear(2, 1)
    average = Average(network, 0.9)
    network.to("meta")
    average.update(network, 0)
    assert {v.device.type for v in average.shadow.values()} == {"meta"}


def test_a_state_of_other_players_is_refused(tmp_path):
    path = tmp_path / "state.pt"
    train(Duel(both), Ones(), budget(), seed=0, checkpoint=path)
    other = Duel(both)
    other.players = lambda: {"critic": other.a, "b": other.b}
    with pytest.raises(ValueError, match=r"made for \['a', 'b'\]"):
        train(other, Ones(), budget(), seed=0, checkpoint=path)


@pytest.mark.parametrize("parts", [1, 2, 8])
def test_released_accumulation_keeps_the_last_micro_batch(parts):
    turns = [accumulated("n", Place(0, i, parts, i), "released") for i in range(parts)]
    assert [t.clear_before for t in turns] == [("n",)] * parts
    assert [t.update for t in turns] == [i == parts - 1 for i in range(parts)]
    assert {t.scale for t in turns} == {1 / parts}
    assert np.isclose(sum(t.scale for t in turns), 1)
    with pytest.raises(ValueError, match="sometimes"):
        accumulated("n", Place(0, 0, 1, 0), "sometimes")
