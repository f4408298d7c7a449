"""An ADNI download folder and its tables, as users have them."""

import numpy as np
import pytest

from mri2pet.cohort.adni import read_adni
from mri2pet.cohort.labels import diagnoses, mmse
from mri2pet.cohort.pairing import pair


def _touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


@pytest.fixture
def root(tmp_path):
    one, two = tmp_path / "002_S_0295", tmp_path / "011_S_10014"
    day = "2011-03-01_10_22_33.0"
    _touch(one / "MPRAGE" / day / "I1" / "scan.nii.gz")
    for number in range(3):
        _touch(
            one / "Accelerated_Sag_IR-FSPGR/2013-03-05_09_00_00.0/I2" / f"{number}.dcm"
        )
    _touch(
        one / "AV45_Coreg,_Avg,_Std_Img_and_Vox_Siz" / "2011-03-21_09_00_00.0/I3/p.nii"
    )
    _touch(one / "ADNI_Brain_PET__Raw_FDG" / day / "I4" / "f.dcm")
    _touch(two / "MP-RAGE_REPEAT" / "undated" / "I5" / "x.nii")
    _touch(two / "MP-RAGE" / "2012-01-01_00_00_00.0/I6" / "x.nii")
    _touch(two / "ADNI3_av1451_(tau)" / "2012-01-01_00_00_00.0/I7" / "x.nii")
    (two / "T1_empty" / "2012-02-01_00_00_00.0" / "I8").mkdir(parents=True)
    (tmp_path / "DXSUM_PDXCONV_ADNIALL.csv").write_text(
        '"PTID","EXAMDATE","DIAGNOSIS"\n"002_S_0295","2011-02-20","1"\n'
        '"002_S_0295","2013-03-01","2.0"\n"011_S_10014","",""\n"999_S_0001","","3"\n'
    )
    (tmp_path / "MMSE.csv").write_text(
        "PTID,VISDATE,MMSCORE\n002_S_0295,2011-02-21,28\n002_S_0295,2013-03-02,-1\n"
    )
    (tmp_path / "PTDEMOG.csv").write_text(
        "PTID,PTGENDER,PTDOBYY,PTEDUCAT\n002_S_0295,2,1940,16\n011_S_10014,1,1950,-4\n"
    )
    (tmp_path / "APOERES.csv").write_text("PTID,APGEN1,APGEN2\n002_S_0295,3,4\n")
    (tmp_path / "READ_ME.csv").write_text("a,b\n1,2\n")
    return tmp_path


def test_series_are_told_apart_by_their_names(root):
    dataset = read_adni(root)
    images = dataset.images
    assert images.groupby("kind").size().to_dict() == {"mri": 3, "pet": 1}
    assert set(images["participant_id"]) == {"sub-002S0295", "sub-011S10014"}
    dicom = images[images["session_id"] == "ses-20130305"].iloc[0]
    assert dicom["path"].endswith("I2") and dicom["days"] == 735
    reasons = dict(dataset.skipped.values.tolist())
    assert any("FDG" in text for text in reasons.values())
    assert any("av1451" in text for text in reasons.values())
    assert "does not begin with a date" in " ".join(reasons.values())
    assert "neither NIfTI nor DICOM" in " ".join(reasons.values())
    assert "has none of the columns" in reasons["READ_ME.csv"]
    assert pair(images)["days_apart"].tolist() == [-20]


def test_tables_give_labels_and_covariates(root):
    visits = read_adni(root).visits.reset_index()
    own = visits[visits["participant_id"] == "sub-002S0295"]
    assert set(own["sex"]) == {"F"} and set(own["apoe_e4"]) == {1.0}
    assert own["age"].min() == 71 and set(own["education"]) == {16.0}
    visits.index = visits["participant_id"] + "_" + visits["session_id"]
    scan = "sub-002S0295_ses-20110321"
    later = "sub-002S0295_ses-20130305"
    found = diagnoses(visits, [scan, later])
    assert found.values.to_dict() == {scan: "CN", later: "MCI"}
    scores = mmse(visits, [scan, later])
    assert scores.values.to_dict() == {scan: 28.0}  # -1 is no score
    assert scores.missing == [later]
    other = visits[visits["participant_id"] == "sub-011S10014"].iloc[0]
    assert other["sex"] == "M" and np.isnan(other["education"])


def test_images_alone_are_enough_and_one_level_up_works(root, tmp_path):
    for table in root.glob("*.csv"):
        table.unlink()
    above = tmp_path / "download"
    (above / "ADNI").mkdir(parents=True)
    for person in list(root.glob("0*_S_*")):
        person.rename(above / "ADNI" / person.name)
    dataset = read_adni(above)
    assert len(dataset.images) == 4
    assert dataset.visits["diagnosis"].isna().all()


def test_what_is_no_download_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no such folder"):
        read_adni(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no T1 series"):
        read_adni(tmp_path)
