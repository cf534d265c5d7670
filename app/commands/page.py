"""Write features as one HTML file that opens from disk: what `dartboard page` does, and what the page's button does."""

from collections.abc import Sequence
from pathlib import Path

from app.browse.lists import features_at
from app.browse.lookup import find_dictionary, find_feature
from app.browse.saved import SavedFeature, save_features
from app.errors import NotFound, UserError
from app.settings import Settings
from app.store.features import FeatureStore
from app.store.shelf import Shelf
from app.store.study import StudyStore


def save_named(settings: Settings, dictionary: str, features: Sequence[str], out: Path) -> None:
    """These features of one dictionary. Raises NotFound with the nearest that there are."""
    store = FeatureStore(settings.feature_path)
    found = find_dictionary(store, dictionary)
    some = [SavedFeature(found, find_feature(store, found, index), "") for index in features]
    title = f"Feature {features[0]} of {found.title}" if len(some) == 1 else f"Features of {found.title}"
    write(out, save_features(store, title, some, settings.public_url))


def save_list(settings: Settings, study: StudyStore, user: str, name: str, out: Path) -> None:
    """A user's list with its notes, without what the feature store does not have. Raises NotFound, UserError."""
    store, shelf = FeatureStore(settings.feature_path), Shelf(study)
    lists = {one.name: one.id for one in shelf.lists(user)}
    if name not in lists:
        raise NotFound(f"{user} has no list “{name}”; there are {', '.join(lists) or 'none'}.")
    _, listed = shelf.entries(user, lists[name])
    places = [one.place for one in listed]
    known, notes = features_at(store, places), shelf.notes_on(user, places)
    keys = [key for place in places if (key := (place.dictionary, place.feature)) in known]
    if not keys:
        raise UserError(f"No feature of “{name}” is in {store.path}, so there is nothing to write.")
    some = [SavedFeature(*known[key], notes[key].text if key in notes else "") for key in keys]
    write(out, save_features(store, name, some, settings.public_url))


def write(out: Path, text: str) -> None:
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); choose another place with --out.") from error
