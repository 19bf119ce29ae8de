"""Words for why a reading is missing: what happened, and what to do next."""

from typing import Final, NamedTuple

from services.api.web.labels import N_


class Words(NamedTuple):
    """Message ids."""

    title: str
    next: str


CAUSES: Final = {
    "silent": Words(
        N_("Nothing arrives any more"),
        N_(
            "Look at the device's power, then at its gateway and network server: what they"
            " send is counted here as soon as it comes."
        ),
    ),
    "nothing": Words(
        N_("Nothing that names it was refused, and no device has this name"),
        N_(
            "Check the spelling. If it is right, its messages do not reach us: look at"
            " gateway, network server and the source's password; “lab broker violations” tells"
            " what the broker refused."
        ),
    ),
    "unknown_device": Words(
        N_("Its messages arrive, but no such device is registered"),
        N_(
            "Add the device to its site file, run “lab site apply FILE”, then take the"
            " refused messages in."
        ),
    ),
    "unknown_source": Words(
        N_("Its messages arrive on a topic that no source covers"),
        N_(
            "Add the topic to a source's filters in the site file, run “lab site apply FILE”,"
            " then take the refused messages in."
        ),
    ),
    "wrong_source": Words(
        N_("Its messages come by another source than the one it is registered with"),
        N_(
            "Correct its source in the site file, or where it sends; then take the refused"
            " messages in."
        ),
    ),
    "bad_json": Words(
        N_("Its messages cannot be read: they are no JSON"),
        N_(
            "Look at the bytes below, and mend the sender or the codec at the network server."
            " What was sent cannot be saved."
        ),
    ),
    "bad_message": Words(
        N_("Its messages can be read, but lack what is needed"),
        N_(
            "The detail below names the place. Mend the sender or the network server's integration."
        ),
    ),
    "bad_clock": Words(
        N_("Its clock is wrong: the times it sends cannot be right"),
        N_(
            "Set the clock of the device. If it has none, let its source take the time of"
            " arrival (clock: {use: arrival} in the site file), then take the refused messages"
            " in."
        ),
    ),
    "conflict": Words(
        N_("Two different values came for the same time: the first was kept"),
        N_(
            "Both stand below. Find out which one is right, and why it was sent twice: a"
            " reset, a second sender, a changed decoder."
        ),
    ),
    "unmapped": Words(
        N_("It sends a field that its profile does not name"),
        N_(
            "Add the field to the profile in the site file, run “lab site apply FILE”, then"
            " decode the kept messages again."
        ),
    ),
    "no_decoder": Words(
        N_("Its messages are stored, but nobody decodes them"),
        N_("Set a codec for it at the network server. Values come with the next message."),
    ),
    "not_a_number": Words(
        N_("It sends something that is no number"),
        N_("Look at the detail: often a codec writes a text, or a sensor is broken."),
    ),
    "bad_unit": Words(
        N_("It sends a unit that does not fit the property"),
        N_(
            "Correct the unit at the sender or the property in the profile, then decode the"
            " kept messages again."
        ),
    ),
    "frame_gap": Words(
        N_("Frames are missing: they were sent, but never reached us"),
        N_(
            "The cause is not known here: weak radio, a gateway that was off, or a network"
            " server that was not connected. Look at signal and gateways of the messages"
            " around it."
        ),
    ),
    "simulated": Words(
        N_("A simulation sent for a device that is none"),
        N_("Stop the simulation, or register a simulated device for it."),
    ),
    "unsupported_event": Words(
        N_("An event that is not read"),
        N_("Nothing is lost: it holds no value."),
    ),
    "unknown_adapter": Words(
        N_("Its source names an adapter that this release does not have"),
        N_(
            "Correct the adapter in the site file, run “lab site apply FILE”, then take the"
            " refused messages in."
        ),
    ),
    "db_refused": Words(
        N_("The database refused its messages"),
        N_("The detail names why. When that is mended, take the refused messages in."),
    ),
    "internal_error": Words(
        N_("Its messages met a fault of ours"),
        N_("Report it with the detail below; after the next release take the refused messages in."),
    ),
}
OTHER: Final = Words(N_("Refused for another reason"), N_("The detail names it."))
TASK: Final = {
    "redrive": N_("take refused messages in"),
    "reprocess": N_("decode kept messages again"),
}
STATE: Final = {
    "waiting": N_("waiting"),
    "running": N_("at work"),
    "done": N_("done"),
    "failed": N_("failed"),
}
OUTCOME: Final = {
    "handled": N_("looked at"),
    "stored": N_("stored"),
    "repeats": N_("known already"),
    "refused": N_("refused again"),
    "devices": N_("devices"),
    "uplinks": N_("messages"),
    "changed": N_("values changed"),
    "added": N_("values added"),
    "removed": N_("values removed"),
    "equal": N_("values as before"),
}


def words(reason: str) -> Words:
    """What a reason means, and what to do."""
    return CAUSES.get(reason, OTHER)
