"""What a sample of residuals costs in some order, where those before each are looked at too."""

import numpy as np

from fzdask.codecs.kernels.cpu.sampling import log2_fixed
from fzdask.codecs.kernels.cpu.symbols import ALPHABET, extra_bits, symbol_of, zigzag
from fzdask.jit import njit

CONTEXTS = 4
BIT = np.int64(256)  # the unit of estimates is 2**-8 bit


@njit(nogil=True, cache=True)
def costs_after(codes, before):
    """Three estimates of the size of integers, in units of 2**-8 bit.

    Parameters
    ----------
    codes : int64 array
        At least one.
    before : int64 array of two axes
        The one before each, that before it, and more that are farther away.

    Returns
    -------
    plain : int
        By a prefix code, which has at least a bit for each.
    by_runs : int
        Entropy where it is known which of the two before are the most frequent value, as codes
        with runs of it make use of that.
    by_matches : int
        By the prefix code, but 0 for the most frequent value behind nothing but such, of which a
        back end that finds repeated bytes makes next to nothing.
    """
    total = np.zeros(ALPHABET, np.int64)
    raw = np.int64(0)
    often, mode = -1, codes[0]
    for i in range(codes.size):
        s = symbol_of(zigzag(codes[i]))
        total[s] += 1
        raw += extra_bits(s)
        if often < 0 or total[s] > total[often]:
            often, mode = s, codes[i]
    counts = np.zeros((CONTEXTS, ALPHABET), np.int64)
    repeated = np.int64(0)
    for i in range(codes.size):
        context = 2 * np.int64(before[0, i] == mode) + np.int64(before[1, i] == mode)
        counts[context, symbol_of(zigzag(codes[i]))] += 1
        if context == CONTEXTS - 1 and codes[i] == mode:
            run = True
            for k in range(2, before.shape[0]):
                run &= before[k, i] == mode
            repeated += np.int64(run)
    plain = raw * BIT
    whole = log2_fixed(codes.size)
    for s in range(ALPHABET):
        if total[s] > 0:
            plain += total[s] * max(whole - log2_fixed(total[s]), BIT)
    by_runs = raw * BIT
    for context in range(CONTEXTS):
        among = counts[context].sum()
        if among > 0:
            whole_context = log2_fixed(among)
            for s in range(ALPHABET):
                count = counts[context, s]
                if count > 0:
                    # 184 / 256 = 1 / (2 ln 2): so much too low is the entropy of a sample
                    by_runs += count * (whole_context - log2_fixed(count)) + 184
    return plain, by_runs, plain - repeated * max(whole - log2_fixed(total[often]), BIT)
