"""What the discussion says follows the table."""

from mri2pet.report.discussion import BETTER, OPEN, WORSE, against, discuss, signed


def _paragraph(tidy, start):
    found = [p for p in discuss(tidy) if p.startswith(f"**{start}")]
    assert len(found) == 1
    return found[0]


def test_rows_are_sorted_by_the_control(tidy):
    found = against(tidy, "mean_template")
    names = {k: [(r, d) for r, d, _ in v] for k, v in found.items()}
    assert ("vanilla", "published") in names[WORSE]
    assert names[BETTER][0][1] == "corrected"
    assert len(names[BETTER]) == 5
    assert names[OPEN] == []


def test_who_is_ahead_is_named_with_the_interval(tidy):
    text = _paragraph(tidy, "Against the mean template")
    assert "5 of 6 learned rows are ahead of it" in text
    assert "Behind it are Vanilla Diffusion (published) -0.2" in text
    assert "shows something of the person" in text


def test_the_text_flips_when_the_rows_are_exchanged(cases):
    better = cases.make_tidy()
    assert "2 of 6 learned rows are ahead" in _paragraph(
        better, "Against the regression U-Net"
    )
    # now the regression control is at the top
    flipped = cases.make_tidy(
        {**cases.levels, ("regression_unet", ""): (0.97, 0.7, 0.5)}
    )
    text = _paragraph(flipped, "Against the regression U-Net")
    assert "No learned row is ahead of it" in text
    assert "no argument for diffusion" in text
    best_template = cases.make_tidy(
        {**cases.levels, ("mean_template", ""): (0.97, 0.5, 0.0)}
    )
    text = _paragraph(best_template, "Against the mean template")
    assert "No learned row is ahead of it" in text
    assert "nothing in this score shows" in text


def test_rows_below_a_random_person_are_called_out(tidy, cases):
    text = _paragraph(tidy, "Against the random training person")
    assert "has not learned to show a brain" in text
    good = {**cases.levels, ("vanilla", "published"): (0.83, 1.0, 0.0)}
    text = _paragraph(cases.make_tidy(good), "Against the random training person")
    assert "has not learned" not in text


def test_detail_and_amyloid(tidy):
    detail = _paragraph(tidy, "Detail")
    assert "Blurred, with less of it than real scans: Mean template 0.50" in detail
    assert "Noisy, with more of it: MRI2PET (published) 1.5" in detail
    amyloid = _paragraph(tidy, "Does the synthetic PET")
    above, below = amyloid.split("It is not distinguishable")
    assert "MRI2PET (corrected)" in above
    assert "Vanilla Diffusion (published)" in below


def test_corrections(tidy, cases):
    text = _paragraph(tidy, "What the corrections buy")
    assert "The corrected design is ahead for MRI2PET +0.07" in text
    flipped = cases.make_tidy(
        cases.swapped(("mri2pet", "published"), ("mri2pet", "corrected"))
    )
    text = _paragraph(flipped, "What the corrections buy")
    assert "The published design is ahead for MRI2PET -0.07" in text


def test_few_people_are_called_illustrative(tidy):
    assert "illustrative" not in discuss(tidy)[0]
    assert "illustrative" in discuss(tidy.assign(n=8))[0]


def test_signed_has_no_minus_zero():
    assert [signed(v, 2) for v in (0.004, -0.004, 0.02, -0.02)] == [
        "0.00",
        "0.00",
        "+0.02",
        "-0.02",
    ]
