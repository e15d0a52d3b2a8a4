/* Round keys, chunks, scratch memory. */

struct stream {
    uint32_t round_key[2 * PHILOX_ROUNDS];
    uint32_t key0, key1;
};

static struct stream stream_of(uint64_t seed, uint64_t key) {
    struct stream s = {.key0 = (uint32_t)key, .key1 = (uint32_t)(key >> 32)};
    for (int r = 0; r < PHILOX_ROUNDS; r++) {
        s.round_key[2 * r] = (uint32_t)seed + (uint32_t)r * PHILOX_W0;
        s.round_key[2 * r + 1] = (uint32_t)(seed >> 32) + (uint32_t)r * PHILOX_W1;
    }
    return s;
}

/* The next chunk of a job nobody has taken; false when there is none. */
INLINE int take(int64_t *next, int64_t count, int64_t *chunk) {
    *chunk = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED);
    return *chunk < count;
}

static const struct task *task_of(const struct job *job, int64_t chunk) {
    int64_t low = 0, high = job->task_count;
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (job->tasks[middle].first_chunk <= chunk)
            low = middle;
        else
            high = middle;
    }
    return &job->tasks[low];
}

/* 64-byte aligned floats; NULL if there is no memory. */
static float *scratch(int64_t floats) {
    void *made = NULL;
    return posix_memalign(&made, 64, sizeof(float) * (size_t)floats) ? NULL : made;
}

typedef uint32_t __attribute__((may_alias)) bits; /* of a float */

/* Whether the n >= 1 numbers x are all +0. Where they are not, the first one mostly tells. */
static int all_zero(const float *x, int64_t n) {
    if (((const bits *)x)[0]) return 0;
    for (int64_t i = 0; i < n;) {
        uint32_t set = 0;
        for (int64_t stop = i + 16 * LANES; i < n && i < stop; i++) set |= ((const bits *)x)[i];
        if (set) return 0;
    }
    return 1;
}
