"""A masked autoencoder of volumes: a system that another package offers to scanweave."""

from scanweave.systems.registry import Entry

ENTRY = Entry(
    name="masked-autoencoder",
    title="Masked autoencoder",
    wing="pre-training",
    question="What stands in the blocks of a volume that the network does not see?",
    paper="He et al., Masked autoencoders are scalable vision learners, CVPR 2022",
    arxiv="2111.06377",
    class_name="MaskedAutoencoder",
    plan_class="masked_autoencoder.plan:FillingPlan",
    verbs=("fit", "predict", "evaluate", "report"),
    presets=("small",),
)
