"""The sentences that reports are made of, in our words.

A sentence may hold choices, `[small|tiny]`, of which one is drawn, and slots, `{side}`, that a statement fills; one
whose slot has no word is not drawn. For each wording there are several of every finding, present and absent; none
belongs to both. An institution draws those that come first more often.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Phrases(NamedTuple):
    """Hold the sentences of one finding for one wording.

    Attributes:
        there: Where it is present.
        absent: Where it is not.
        short: How an impression calls it.
        noun: How a list of what is absent calls it; none: it is never listed.
    """

    there: tuple[str, ...]
    absent: tuple[str, ...]
    short: tuple[str, ...]
    noun: tuple[str, ...]


SEEN: Mapping[str, Phrases] = {
    "cardiomegaly": Phrases(
        (
            "[There is|Again seen is] {degree} cardiomegaly.",
            "The heart is {degree}ly enlarged.",
            "[The cardiac silhouette|The heart] is enlarged.",
            "{degree} enlargement of the [cardiac silhouette|heart].",
            "Cardiomegaly is present.",
        ),
        (
            "[The heart is normal in size|Heart size is normal|The heart size is normal|Normal heart size].",
            "Heart size [is |]within normal limits.",
            "The cardiac silhouette is [normal|within normal limits|unremarkable].",
            "The heart is not enlarged.",
        ),
        ("{degree} cardiomegaly", "cardiomegaly", "enlarged heart"),
        (),
    ),
    "effusion": Phrases(
        (
            "There is a {degree} {side} pleural effusion.",
            "{degree} {side} pleural effusion[ is noted| is present|].",
            "A {degree} pleural effusion is seen {where}.",
            "{side} pleural effusion, {degree} in size.",
            "Blunting of the {side} costophrenic angle in keeping with [an effusion|pleural fluid].",
        ),
        (
            "There is no pleural effusion.",
            "No pleural effusion[| is seen| identified].",
            "[The costophrenic angles are|Both costophrenic angles are] sharp.",
            "No evidence of [pleural effusion|pleural fluid].",
            "[The pleural spaces are|Pleural spaces] clear.",
        ),
        ("{side} pleural effusion", "{degree} {side} effusion"),
        ("pleural effusion", "effusion"),
    ),
    "consolidation": Phrases(
        (
            "There is consolidation in the {side} {place}.",
            "[Focal|Airspace] consolidation is seen in the {side} {place}.",
            "{side} {place} airspace opacity[ with air bronchograms|].",
            "Opacity in the {side} {place}, consistent with consolidation.",
        ),
        (
            "[There is no|No] focal consolidation.",
            "No [airspace disease|airspace opacity|consolidation] is seen.",
            "No evidence of pneumonia.",
            "The lungs are free of [focal airspace disease|consolidation].",
        ),
        ("{side} {place} consolidation", "{side} {place} pneumonia"),
        ("consolidation", "focal airspace disease"),
    ),
    "nodule": Phrases(
        (
            "There is a {size} nodule in the {side} {place}.",
            "{size} [pulmonary |]nodule in the {side} {place}.",
            "A [round|well defined] nodule measuring {size} projects over the {side} {place}.",
            "[Nodular|Rounded] opacity in the {side} {place}, about {size}.",
            "A pulmonary nodule is seen in the {side} {place}.",
        ),
        (
            "No [suspicious |]pulmonary nodule[| is seen| or mass].",
            "[There are no|No] nodules or masses.",
            "No nodule is identified.",
            "The lungs are without [nodule|focal nodular opacity].",
        ),
        ("{side} {place} nodule", "{size} {side} nodule"),
        ("nodule", "pulmonary nodule"),
    ),
    "pneumothorax": Phrases(
        (
            "There is a {degree} {side} pneumothorax.",
            "{degree} {side} pneumothorax[ is noted| is present|].",
            "A {side} pneumothorax is seen, {degree} in size.",
            "Visible pleural line {where}, consistent with pneumothorax.",
        ),
        (
            "There is no pneumothorax.",
            "No pneumothorax[| is seen| identified].",
            "No evidence of pneumothorax.",
            "Negative for pneumothorax.",
            "No [apical|visible] pneumothorax.",
        ),
        ("{side} pneumothorax", "{degree} {side} pneumothorax"),
        ("pneumothorax",),
    ),
    "fracture": Phrases(
        (
            "There is a fracture of the {side} {place}.",
            "[Displaced|Acute] {side} {place} fracture.",
            "Fracture of the {side} {place} is [noted|seen].",
            "The {side} {place} is [broken|fractured].",
        ),
        (
            "The [bony structures|ribs] are intact.",
            "[There is no|No] acute [bony|osseous] abnormality.",
            "No rib fracture[| is seen].",
            "No [displaced |]fracture is identified.",
        ),
        ("{side} rib fracture", "fracture of the {side} {place}"),
        ("rib fracture", "fracture"),
    ),
    "steatosis": Phrases(
        (
            "The liver is of low attenuation, in keeping with [fatty change|steatosis].",
            "{degree} hepatic steatosis.",
            "[Diffuse|Homogeneous] fatty infiltration of the liver.",
            "There is {degree} fatty liver.",
        ),
        (
            "[The liver is|Liver] of normal attenuation.",
            "No hepatic steatosis.",
            "No evidence of fatty liver.",
            "Attenuation of the liver is [normal|unremarkable].",
        ),
        ("hepatic steatosis", "{degree} fatty liver"),
        ("steatosis", "fatty liver"),
    ),
    "splenomegaly": Phrases(
        (
            "The spleen is {degree}ly enlarged.",
            "There is {degree} splenomegaly.",
            "Splenomegaly is [present|noted].",
            "[Enlarged spleen|Enlargement of the spleen].",
        ),
        (
            "[The spleen is|Spleen] normal in size.",
            "No splenomegaly.",
            "The spleen is [unremarkable|not enlarged].",
            "Spleen within normal limits.",
        ),
        ("splenomegaly", "{degree} splenomegaly"),
        (),
    ),
    "liver_lesion": Phrases(
        (
            "There is a {size} [focal |]lesion in the liver.",
            "Liver lesion measuring {size}.",
            "[Focal|Rounded] hepatic lesion of {size}.",
            "A focal lesion of {size} is seen in the liver.",
        ),
        (
            "[There is no|No] focal liver lesion.",
            "No hepatic mass[| is seen].",
            "The liver is without focal [lesion|abnormality].",
            "No suspicious lesion of the liver.",
        ),
        ("{size} liver lesion", "hepatic lesion"),
        ("focal liver lesion",),
    ),
    "kidney_cyst": Phrases(
        (
            "There is a {size} cyst of the {side} kidney.",
            "Simple {side} renal cyst, {size}.",
            "A {size} cyst arises from the {side} kidney.",
            "{side} kidney cyst measuring {size}.",
        ),
        (
            "[The kidneys are|Both kidneys are] unremarkable.",
            "No renal cyst[| is seen].",
            "No renal lesion.",
            "Kidneys [are |]without [cyst|focal abnormality].",
        ),
        ("{side} renal cyst", "renal cyst"),
        ("renal cyst",),
    ),
}
UNSEEN: Mapping[str, Phrases] = {
    "cardiomegaly": Phrases(
        ("Heart shadow appears {degree}ly widened.", "Increased transverse diameter of the heart.", "Large heart."),
        (
            "Cardiac dimensions are not increased.",
            "Heart of usual dimensions.",
            "Cardiothoracic ratio is below one half.",
        ),
        ("widened heart",),
        (),
    ),
    "effusion": Phrases(
        (
            "Fluid layers in the {side} pleural space.",
            "{side} hydrothorax of {degree} volume.",
            "Pleural fluid collects {where}.",
        ),
        ("Neither pleural cavity contains fluid.", "Pleural recesses are free.", "No hydrothorax."),
        ("{side} pleural fluid",),
        ("pleural fluid",),
    ),
    "consolidation": Phrases(
        (
            "The {side} {place} is airless.",
            "Dense parenchymal infiltrate, {side} {place}.",
            "Alveolar filling in the {side} {place}.",
        ),
        ("No infiltrate.", "Parenchyma is aerated throughout.", "Lungs show no alveolar filling."),
        ("{side} {place} infiltrate",),
        ("infiltrate",),
    ),
    "nodule": Phrases(
        (
            "Coin lesion of {size}, {side} {place}.",
            "Small rounded density in the {side} {place}.",
            "{side} {place}: spherical focus, {size}.",
        ),
        ("No coin lesion.", "No rounded density in either lung.", "Lungs contain no spherical focus."),
        ("{side} coin lesion",),
        ("coin lesion",),
    ),
    "pneumothorax": Phrases(
        (
            "Air outlines the {side} pleura.",
            "The {side} lung is partly collapsed by pleural air.",
            "Extrapleural air crescent {where}.",
        ),
        (
            "Both lungs reach the chest wall.",
            "Pleural cavities contain no air.",
            "Lung markings extend to the periphery.",
        ),
        ("{side} pleural air",),
        ("pleural air",),
    ),
    "fracture": Phrases(
        (
            "Cortical break of the {side} {place}.",
            "{side} {place} shows a step.",
            "Discontinuity of the {side} {place}.",
        ),
        ("Rib contours are continuous.", "Skeleton without cortical break.", "Bones show no discontinuity."),
        ("cortical break of a {side} rib",),
        ("cortical break",),
    ),
    "steatosis": Phrases(
        (
            "Diffuse fat deposition in the liver.",
            "Hepatic parenchyma shows {degree} fat deposition.",
            "Fat-laden liver.",
        ),
        (
            "Hepatic parenchyma without fat deposition.",
            "The liver shows no fat deposition.",
            "Liver density is as expected.",
        ),
        ("hepatic fat deposition",),
        ("fat deposition",),
    ),
    "splenomegaly": Phrases(
        ("Spleen is bulky.", "Splenic length is increased.", "{degree} increase of splenic volume."),
        ("Splenic length is not increased.", "Spleen is small to normal.", "Splenic volume is as expected."),
        ("bulky spleen",),
        (),
    ),
    "liver_lesion": Phrases(
        (
            "Circumscribed hepatic focus of {size}.",
            "Liver contains a focus measuring {size}.",
            "Hepatic parenchyma is interrupted by a {size} focus.",
        ),
        ("Hepatic parenchyma is homogeneous.", "Liver contains no circumscribed focus.", "No hepatic focus."),
        ("hepatic focus",),
        ("hepatic focus",),
    ),
    "kidney_cyst": Phrases(
        (
            "Fluid-filled {side} renal focus of {size}.",
            "{side} renal cortex bears a {size} fluid pocket.",
            "Water-dense {side} renal focus.",
        ),
        ("Renal contours are smooth.", "Renal cortex without fluid pocket.", "Kidneys show no water-dense focus."),
        ("{side} renal fluid pocket",),
        ("renal fluid pocket",),
    ),
}
WORDINGS: Mapping[str, Mapping[str, Phrases]] = {"seen": SEEN, "unseen": UNSEEN}

JOINT: Mapping[str, tuple[str, ...]] = {
    "seen": (
        "There is no {list}.",
        "No {list}[| is seen| identified].",
        "Negative for {list}.",
        "No evidence of {list}.",
    ),
    "unseen": ("Free of {list}.", "Without {list}.", "{list}: none."),
}
"""Sentences on several absent findings at once."""
CLEAR: Mapping[str, tuple[str, ...]] = {
    "seen": (
        "[The lungs are|Lungs are|Both lungs are] clear.",
        "The lungs are clear bilaterally.",
        "[The lungs are|Both lungs are] clear throughout.",
    ),
    "unseen": ("Lung fields are transparent.", "Both lungs are free."),
}
"""Sentences that say of all of `LUNGS` that they are absent."""
LUNGS = ("consolidation", "nodule")
FILMS_ALONE = ("projects over", "costophrenic", "Cardiothoracic", "Heart shadow", "Lung markings")
"""Words of sentences that are said of films, and not of CT."""
ASIDES: Mapping[str, tuple[str, ...]] = {
    "films": (
        "The mediastinal contours and pulmonary vascularity are within normal limits.",
        "The lungs are clear of focal airspace disease.",
        "Mild degenerative changes of the thoracic spine are [present|noted].",
        "The hilar and mediastinal contours are unremarkable for the patient's age.",
        "The trachea is midline.",
        "There is calcification of the aortic arch.",
        "Surgical clips are seen in the right upper quadrant of the abdomen.",
        "[Stable|Unchanged] appearance of the chest since the prior study.",
        "Lung volumes are low, with crowding of the vessels at both bases.",
    ),
    "bodies": (
        "[The gallbladder is|Gallbladder] unremarkable.",
        "The pancreas is normal.",
        "[Mild|Moderate] degenerative changes of the spine.",
        "The aorta is of normal caliber.",
        "No enlarged lymph nodes.",
        "[Scattered|Mild] calcified plaque of the aorta.",
        "Bowel loops are not dilated.",
        "[Stable|Unchanged] since the prior study.",
    ),
}
NORMAL: Mapping[str, tuple[str, ...]] = {
    "films": (
        "No acute cardiopulmonary [abnormality|findings|disease|process].",
        "No active disease.",
        "Normal chest.",
        "No acute [findings|abnormality].",
    ),
    "bodies": ("No acute [findings|abnormality].", "Unremarkable study.", "No significant abnormality."),
}
INDICATIONS = (
    "Chest pain.",
    "Shortness of breath.",
    "Cough.",
    "Dyspnea.",
    "Preoperative.",
    "Follow-up.",
    "Trauma.",
    "Fever.",
)
