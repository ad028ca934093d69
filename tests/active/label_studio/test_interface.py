"""The labelling interface: what the run can answer, and what it cannot."""

from __future__ import annotations

import pytest
from fake_studio import CONFIG

from usl.active.label_studio.interface import read_interface
from usl.core.errors import DataError
from usl.labeling.formats.label_studio import _config


def view(inside):
    return f'<View><Image name="image" value="$image"/>{inside}</View>'


def choices(inside='<Choice value="a"/><Choice value="b"/>', name="label", more=""):
    return f'<Choices name="{name}" toName="image" {more}>{inside}</Choices>'


def test_ours_is_read_with_any_name_of_a_class():
    names = ["cat", 'a "b" & <c>', "Käfer", "日本"]
    found = read_interface(_config(names))
    assert (found.control, found.picture, list(found.choices)) == ("label", "image", names)


def test_other_controls_are_left_alone_and_an_alias_is_the_name():
    inside = choices('<Choice value="Cat" alias="cat"/><Choice value="dog"/>', "kind")
    found = read_interface(view(inside + '<TextArea name="note" toName="image"/>'))
    assert (found.control, found.choices) == ("kind", ("cat", "dog"))
    assert found.choice("cat") == {
        "from_name": "kind",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": ["cat"]},
    }


def test_of_several_questions_the_one_called_label_is_meant():
    assert read_interface(view(choices(name="other") + choices())).control == "label"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("<View>", "not valid XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]>' + CONFIG, "document type"),
        (view('<RectangleLabels name="label" toName="image"/>'), "no Choices for an Image"),
        (view(choices()).replace("<Image", "<Text"), "no Choices for an Image"),
        (view(choices(more='choice="multiple"')), "several answers"),
        (view(choices(name="one") + choices(name="two")), "one, two|one and two"),
        (view(choices("")), "nothing to choose"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_words(config, words):
    with pytest.raises(DataError, match=words):
        read_interface(config)
