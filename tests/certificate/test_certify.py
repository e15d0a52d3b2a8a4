"""A certificate from training to the stranger who checks it, on the digits."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
import torch
from certified_digits import OPTIM, SPEC

from intrinsic.bounds import nats, occam_binomial
from intrinsic.certificate.certify import GRID_FILE, certify
from intrinsic.certificate.count import MARGIN, MARGIN_OF_CERTIFY
from intrinsic.certificate.message import Terms, decode
from intrinsic.certificate.networks import NetworkBuilder
from intrinsic.certificate.record import CERTIFICATE_FILE, MESSAGE_FILE, read_certificate
from intrinsic.certificate.spec import CertifySpec, Grid, Setting
from intrinsic.certificate.verify import verify
from intrinsic.errors import SpecError
from intrinsic.projections import make_projection
from intrinsic.seeds import derive, name_key
from intrinsic.spec import TaskSpec


def test_the_digits_are_certified_below_half_and_another_process_says_valid(made):
    certificate = read_certificate(made / CERTIFICATE_FILE)
    assert not certificate.is_vacuous
    assert certificate.bound < 0.5
    command = [sys.executable, "-c", "import sys; from intrinsic_cli.main import main; sys.exit(main(sys.argv[1:]))"]
    done = subprocess.run(
        [*command, "verify", str(made / CERTIFICATE_FILE)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert f"valid: {certificate.statement}" in done.stdout


def test_the_bound_is_that_of_the_bits_in_the_file(made):
    certificate = read_certificate(made / CERTIFICATE_FILE)
    data = (made / MESSAGE_FILE).read_bytes()
    assert len(data) == math.ceil(certificate.bits / 8)
    assert sum(certificate.ledger.values()) == certificate.bits
    train = certificate.train
    assert certificate.bound == occam_binomial(train.errors, nats(certificate.bits), train.samples, 0.05)
    assert train.errors / train.samples < certificate.bound
    assert sum(certificate.delta.values()) == certificate.grid.delta


def test_the_table_has_the_reference_and_calls_the_asymptotic_no_bound(made):
    rows = {row.name: row for row in read_certificate(made / CERTIFICATE_FILE).bounds}
    assert rows["occam-binomial"].value <= rows["occam-kl"].value <= rows["occam-hoeffding"].value
    assert rows["test-set"].value < rows["occam-binomial"].value
    assert "NOT A BOUND" in rows["sqrt(d/m)"].note
    assert rows["sqrt(d/m)"].value == pytest.approx(math.sqrt(150 / 1438))
    free = {name for name, row in rows.items() if row.bits == rows["occam-binomial"].bits}
    assert free == {"occam-binomial", "occam-kl", "occam-hoeffding", "theorem-1"}  # the others pay for their theorem


def test_what_is_counted_is_what_the_message_decodes_to(made):
    """An independent recount: theta = values[levels] through the projection, as one matrix over the features."""
    certificate = read_certificate(made / CERTIFICATE_FILE)
    message, _ = decode((made / MESSAGE_FILE).read_bytes(), Terms(settings=2, seeds=2))
    setting = certificate.grid.settings[message.setting]
    builder = NetworkBuilder.open(certificate.grid, TaskSpec(name="digits"))
    split = builder.network(setting, 0).prepared[0].train
    width = split.features.shape[1]
    seed = derive(0, "certificate", "projection", message.seed)
    projection = make_projection(setting.projection, 150, seed, full_dim=10 * width + 10)
    theta = torch.tensor(message.values, dtype=torch.float64)[torch.tensor(message.levels)]
    weight = (projection.to_dense(name_key("classifier.weight"), 10 * width) @ theta).reshape(10, width)
    bias = projection.to_dense(name_key("classifier.bias"), 10) @ theta
    logits = (split.features.double() @ weight.T + bias) / math.sqrt(width)
    wrong = int((logits.argmax(dim=1) != split.labels).sum())
    assert abs(wrong - certificate.train.errors) <= 3  # scales are rounded to 8 digits


def test_random_labels_certify_nothing(tmp_path):
    grid = Grid(settings=(Setting(network="gabor"),), random_labels=True)
    optim = OPTIM.model_copy(update={"epochs": 5.0})
    certificate = certify(CertifySpec(grid=grid, dims=(150,), optim=optim), tmp_path)
    assert certificate.is_vacuous
    assert certificate.bound > 0.89
    assert verify(tmp_path / CERTIFICATE_FILE).is_valid


def test_certify_asks_for_more_margin_than_verify(made, tmp_path, monkeypatch):
    """So much more here that it must show."""
    assert MARGIN_OF_CERTIFY == 2 * MARGIN
    monkeypatch.setattr("intrinsic.certificate.certify.MARGIN_OF_CERTIFY", 1.0)
    wide = certify(SPEC, tmp_path)
    assert wide.train.errors > read_certificate(made / CERTIFICATE_FILE).train.errors
    told = {check.name: check for check in verify(tmp_path / CERTIFICATE_FILE).checks}
    assert told["errors"].passed
    assert f"{wide.train.errors} are claimed and paid for" in told["errors"].told


def test_verify_says_what_is_taken_for_granted(made, cli):
    code, out, _ = cli("verify", str(made / CERTIFICATE_FILE))
    assert code == 0
    assert "gabor features of images under a linear layer, hashed projection, DID" in out
    assert "if what it assumes holds: that cannot be checked here" in out
    assert f"{SPEC.grid.sha256}: ask where it was published before training" in out
    assert all(f"{line}\n" in out for line in read_certificate(made / CERTIFICATE_FILE).assumptions)


def test_the_grid_is_written_before_training_and_another_one_is_refused(made, tmp_path):
    frozen = json.loads((made / GRID_FILE).read_text())
    assert frozen["sha256"] == SPEC.grid.sha256 == read_certificate(made / CERTIFICATE_FILE).hashes.grid
    with pytest.raises(SpecError, match="holds another grid"):
        certify(SPEC.model_copy(update={"grid": Grid(seed=9)}), made)
