"""Pickles of every protocol, as `pickle.load` reads them: the first stream of the file."""

from garrison.artifacts.loading.admission import Admitted, Options
from garrison.artifacts.loading.restricted import Unpickler
from garrison.sources.private_copy import PrivateCopy


def load(copy: PrivateCopy, admitted: Admitted, options: Options) -> object:
    with copy.open() as file:
        return Unpickler(file, admitted.names("pickle")).load()
