"""The methods by name: all that is known of each before it is attached. Torch is not imported here.

A method's facts are written here and nowhere else: its description, its options, the option that sets its size and the
sizes to try, the learning rates to begin with, what it needs of a model, whether a subspace can lie over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from intrinsic.errors import SpecError, UnknownName
from intrinsic.methods import options as o
from intrinsic.plugins import Registry, is_a
from intrinsic.spec import Frozen, MeasureSpec, MethodSpec, first_complaint

RATES, BUDGETS, OF = "lr", "params", "of"
"""Keys in --methods that no size can have as its letter: learning rates, numbers of parameters, the method under a
subspace."""
ANY_SIZE = "size"
"""Name of a method's size in --methods that is valid for every method, whatever its letter."""


def powers(first: int, last: int) -> tuple[int, ...]:
    """Powers of two, 2^first, ..., 2^last."""
    return tuple(2**k for k in range(first, last + 1))


@dataclass(frozen=True)
class Size:
    """The setting that makes a method larger or smaller, and the values to try."""

    option: str
    """Name of the setting: `subspace_dim`, or a field of the method's options."""
    letter: str = ANY_SIZE
    """Short name in --methods and in tables."""
    grid: tuple[int, ...] = powers(0, 7)
    """Sizes among which the smallest sufficient one is searched for if the user names none."""
    compared: tuple[int, ...] = ()
    """Sizes of a comparison without a search if the user names none; (): the option's default."""
    probes: tuple[int, int] = (1, 2)
    """Two sizes at which parameters are counted first, when a size is looked for by its number of parameters."""
    besides: tuple[str, str] | None = None
    """Option that adds parameters unless its value is None, and the advice about it in the error that no size fits."""


@dataclass(frozen=True)
class Method:
    """Entry of a fine-tuning method in the catalogue."""

    description: str
    home: str
    """Module and function, `package.module:attach`, called as attach(loaded, spec, options, seeds); it returns a
    Trainable. The options are validated and complete. A module with a leading dot lies in intrinsic.methods; without a
    function's name the function is `attach`."""
    options: type[Frozen] = o.NoOptions
    """Class of the options, with their defaults."""
    preset: Mapping[str, object] = field(default_factory=dict)
    """Options that the method's name sets; those that the user gives take precedence."""
    size: Size | None = None
    """Setting of the size; None: the method has one size."""
    rates: tuple[float, ...] = (2.5e-4, 1e-3, 4e-3)
    """Learning rates to begin with; the grid grows beyond its lowest or highest rate if that is the best."""
    rates_field: str | None = None
    """Field of MeasureSpec that holds the learning rates instead; None: `rates` does."""
    transformer: bool = False
    """Whether the method looks for attention and feed-forward; see :mod:`intrinsic.methods.architecture`."""
    check: str | None = None
    """Module and function, called as check(loaded, spec, options), that raises for a model which does not suit the
    method, before anything is attached and without reading the values of weights; None: `transformer` is enough."""
    no_subspace: str | None = None
    """Reason why no subspace can lie over the trained parameters, for an error; None: one can."""
    aliases: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Further names of the method, each with the settings that it stands for."""
    head_only: bool = False
    """Whether the method trains the task's head alone."""

    def rates_for(self, base: MeasureSpec) -> tuple[float, ...]:
        """The learning rates that a comparison with these settings of a measurement begins with."""
        rates: tuple[float, ...] = self.rates if self.rates_field is None else getattr(base, self.rates_field)
        return rates

    def sizes(self) -> tuple[int, ...]:
        """The sizes of a comparison if the user names none; () for a method of one size."""
        if self.size is None:
            return ()
        return self.size.compared or (self.options.model_fields[self.size.option].default,)


RANK = Size("rank", "r")
WIDTH = Size("bottleneck", "r", powers(0, 8))
MLP = ("mlp_width", "its reparameterisation is counted: mlp_width=none trains the prefixes alone")
OWN_WEIGHTS = "it has no parameters of its own: name a method that adds some, or picks some"


def _peft(description: str, name: str, options: type[Frozen], size: Size | None = None, **facts: object) -> Method:
    known = {"size": size, "transformer": True, **facts}
    return Method(description, f".through_peft:{name}", options, **known)  # type: ignore[arg-type]


def _bottleneck(description: str, **preset: object) -> Method:
    return Method(description, ".bottleneck", o.BottleneckOptions, preset, WIDTH, transformer=True)


_OWN: dict[str, Method] = {
    "full": Method("every weight is trained", ".full", rates_field="baseline_rates", no_subspace=OWN_WEIGHTS),
    "subspace": Method(
        "theta = theta_0 + lambda P theta_d, d numbers are trained (SAID, DID)",
        ".subspace",
        size=Size(
            "subspace_dim", "d", powers(4, 13), (128, 1024), (1024, 2048)
        ),  # a small d may be less than the number of lambdas
        rates_field="subspace_rates",
        check=".subspace:check",
        no_subspace=OWN_WEIGHTS,
        aliases={"said": {"structure_aware": True}, "did": {"structure_aware": False}},
    ),
    "probe": Method(
        "the head alone is trained, on frozen features", ".probe", rates=(1e-3, 4e-3, 1.6e-2), head_only=True
    ),
    "bitfit": Method("biases (Ben Zaken et al. 2022)", ".bitfit", o.BitFitOptions, rates=(5e-4, 2e-3, 8e-3)),
    "adapter": _bottleneck("bottlenecks anywhere: form, insertion, place, composition (He et al. 2022)"),
    "houlsby": _bottleneck(
        "two adapters a block, layer norms trained (Houlsby et al. 2019)", place="both", form="gelu", norms=True
    ),
    "pfeiffer": _bottleneck(
        "one adapter a block, behind feed-forward's layer norm (Pfeiffer et al. 2021)", after_norm=True
    ),
    "parallel": _bottleneck("an adapter beside feed-forward (He et al. 2022)", insertion="parallel"),
    "scaled-parallel": _bottleneck(
        "the same, its output scaled (He et al. 2022)", insertion="parallel", composition="scaled", scale=4.0
    ),
    "multi-head-parallel": _bottleneck(
        "an adapter beside the attention heads (He et al. 2022)", insertion="parallel", place="head-attention"
    ),
    "mam": Method(
        "prefixes and a scaled parallel adapter (He et al. 2022)",
        ".mam",
        o.MamOptions,
        size=Size("bottleneck", "r", powers(0, 8), besides=MLP),
        transformer=True,
    ),
    "prefix": Method(
        "keys and values before those of every attention (Li and Liang 2021)",
        ".prefix",
        o.PrefixOptions,
        size=Size("length", "l", besides=MLP),
        rates=(5e-4, 2e-3, 8e-3),
        transformer=True,
    ),
    "prompt": Method(
        "vectors among the input embeddings (Lester et al. 2021)",
        ".prompt",
        o.PromptOptions,
        size=Size("length", "l"),
        rates=(2e-3, 1e-2, 5e-2),
        check=".prompt:check",
    ),
    "lora": _peft("W + (alpha / rank) B A (Hu et al. 2021)", "lora", o.LoraOptions, RANK),
    "adalora": _peft(
        "LoRA whose ranks compete for a budget (Zhang et al. 2023)",
        "adalora",
        o.AdaLoraOptions,
        RANK,
        no_subspace="it moves its ranks in training, which no fixed subspace of them can follow: take 'lora'",
    ),
    "ia3": _peft(
        "keys, values and hidden units scaled (Liu et al. 2022)", "ia3", o.Ia3Options, rates=(1e-3, 4e-3, 1.6e-2)
    ),
    "vera": _peft(
        "LoRA with shared random A and B, two vectors trained (Kopiczko et al. 2024)",
        "vera",
        o.VeraOptions,
        RANK,
        rates=(2e-3, 8e-3, 3.2e-2),
    ),
    "unilora": _peft(
        "LoRA whose entries are few shared numbers (Li et al. 2025)",
        "unilora",
        o.UniLoraOptions,
        Size("size", grid=powers(4, 12)),
        rates=(1e-3, 4e-3, 1.6e-2),
    ),
    "fourierft": _peft(
        "random frequencies of the update (Gao et al. 2024)",
        "fourierft",
        o.FourierFtOptions,
        Size("frequencies", grid=powers(4, 12)),
        rates=(5e-3, 2e-2, 8e-2),
    ),
    "randlora": _peft(
        "a weighted full-rank sum of random products (Albert et al. 2025)", "randlora", o.RandLoraOptions, RANK
    ),
}


_OWN_ALIASES = {alias for method in _OWN.values() for alias in method.aliases}


def _wrong_method(name: str, made: object) -> str | None:
    wrong = is_a(Method)(name, made)
    if wrong is not None or not isinstance(made, Method):
        return wrong
    if not (isinstance(made.options, type) and issubclass(made.options, Frozen)):
        return "must have options that are a class of the kind intrinsic.spec.Frozen"
    meant = [option for settings in made.aliases.values() for option in settings]
    named = [*made.preset, *meant, *([] if made.size is None else [made.size.option])]
    unknown = [option for option in named if option not in made.options.model_fields]
    if unknown:
        return f"names the option {unknown[0]!r}, which its options do not have"
    if not made.rates or min(made.rates) <= 0:
        return f"must have learning rates above 0 to begin with, got {made.rates}"
    taken = [alias for alias in made.aliases if alias in {*_OWN, *_OWN_ALIASES}]
    if taken:
        return f"has the alias {taken[0]!r}, which is a name of this package's own"
    return None if made.size is None else _wrong_size(made, made.size)


def _wrong_size(made: Method, size: Size) -> str | None:
    if wrong := is_a(Size)("size", size):
        return f"has a size that {wrong}"
    if not isinstance(made.sizes()[0], int):
        return f"has no size to begin with: give {size.option!r} a default, or `compared` to its size"
    if size.letter in (RATES, BUDGETS, OF) or (size.letter != size.option and size.letter in made.options.model_fields):
        return f"has the letter {size.letter!r} for its size, which means another setting"
    return None


METHODS: Registry[Method] = Registry("method", _OWN, _wrong_method, _OWN_ALIASES)
"""The methods by name. Other packages add to them through the entry point group `intrinsic.methods`."""


def known(name: str) -> Method:
    """The method with this name. Raises UnknownName, and SpecError for a method of another package that is unusable."""
    if name not in METHODS:
        raise UnknownName("method", name, METHODS)
    return METHODS[name]


def aliases() -> dict[str, tuple[str, Mapping[str, object]]]:
    """The aliases, each with its method's name and the settings it stands for; names of methods are left out.

    An alias that several methods claim belongs to the first of them.
    """
    found: dict[str, tuple[str, Mapping[str, object]]] = {}
    for name, method in METHODS.offered()[0].items():
        for alias, settings in method.aliases.items():
            found.setdefault(alias, (name, settings))
    return {alias: meant for alias, meant in found.items() if alias not in METHODS}


def options_of(spec: MethodSpec) -> Frozen:
    """The complete options of the spec's method: those given, else those that its name sets, else the defaults.

    Options given to the method `subspace` belong to the method under it and are validated there. Raises UnknownName if
    there is no such method, and SpecError, in one sentence, for an option that is unknown or wrong.
    """
    method = known(spec.name)
    given = {} if spec.of is not None else dict(spec.options)
    try:
        return method.options.model_validate({**method.preset, **given})
    except ValidationError as error:
        raise SpecError(f"method {spec.name!r}: {first_complaint(error)}") from None


def check_under_subspace(name: str) -> None:
    """Raise UnknownName if there is no such method, SpecError if a subspace cannot lie over what it trains."""
    reason = known(name).no_subspace
    if reason is not None:
        raise SpecError(f"a subspace cannot lie over method {name!r}: {reason}")


def letter_of(name: str) -> str:
    """The short name of a method's size; `size` for a method of a record that is not installed here."""
    method = _installed(name)
    return ANY_SIZE if method is None or method.size is None else method.size.letter


def is_head_only(name: str) -> bool:
    """Whether a method trains the task's head alone; False for a method that is not installed here."""
    method = _installed(name)
    return method is not None and method.head_only


def _installed(name: str) -> Method | None:
    try:
        return METHODS.get(name)
    except SpecError:  # the package that brings it has become unusable
        return None
