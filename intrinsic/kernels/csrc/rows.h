/* Projections that make row after row: hashed and sparse; and the gaussians of the dense ones.
 * Specified in intrinsic/projections/{hashed,sparse,dense}.py. */

#define UNIT 1024   /* rows of one unit */
#define FEW 32      /* numbers so few that neighbouring rows often add to one of them, and would wait for each other */
#define APART 8     /* sums of each of them: row r adds to the r mod APART'th */
#define PENDING 512 /* sparse: entries whose words are made together */

/* One unit: rows `row` ... row + rows - 1 of a tensor, rows <= UNIT. */
struct unit {
    const struct job *job;
    const struct task *task;
    const struct stream *stream;
    int64_t row, rows;
    double *total;
};

INLINE vi column_of(vi word, int64_t d) { return high_product(word << 1, each((uint32_t)d)); }

static void hashed_unit_forward(const struct unit *u) {
    uint32_t w[UNIT] __attribute__((aligned(64))), column[UNIT] __attribute__((aligned(64)));
    float made[UNIT] __attribute__((aligned(64)));
    const float *start = u->task->start;
    float *out = u->task->out + u->row;
    stream_words(w, (uint64_t)u->row / 4, UNIT / 4, VALUES, u->stream);
    for (int64_t i = 0; i < UNIT; i += LANES) STORE_WORDS(column + i, column_of(LOAD_WORDS(w + i), u->job->dim));
    for (int64_t i = 0; i < UNIT; i += LANES) {
        vf t = found(u->job->theta, column + i, 0, 32);
        STORE(made + i, (vf)((vi)t ^ (LOAD_WORDS(w + i) & SIGN)) * u->task->scale);
    }
    if (start)
        for (int64_t i = 0; i < u->rows; i++) out[i] = start[u->row + i] + made[i];
    else
        memcpy(out, made, sizeof(float) * (size_t)u->rows);
}

INLINE void add_to_few(const uint32_t *column, const float *value, int64_t rows, int64_t d, double *total) {
    double sums[FEW * APART] = {0};
    for (int64_t i = 0; i < rows; i++) sums[column[i] * APART + (uint32_t)i % APART] += value[i];
    for (int64_t c = 0; c < d; c++)
        for (int k = 0; k < APART; k++) total[c] += sums[c * APART + k];
}

static void hashed_unit_adjoint(const struct unit *u) {
    uint32_t w[UNIT] __attribute__((aligned(64))), column[UNIT] __attribute__((aligned(64)));
    float value[UNIT] __attribute__((aligned(64)));
    const float *grad = u->task->start + u->row;
    double *total = u->total;
    if (all_zero(grad, u->rows)) return;
    stream_words(w, (uint64_t)u->row / 4, UNIT / 4, VALUES, u->stream);
    memcpy(value, grad, sizeof(float) * (size_t)u->rows);
    for (int64_t i = 0; i < UNIT; i += LANES) {
        vi word = LOAD_WORDS(w + i);
        STORE_WORDS(column + i, column_of(word, u->job->dim));
        STORE_WORDS(value + i, LOAD_WORDS(value + i) ^ (word & SIGN));
    }
    if (u->job->dim <= FEW) {
        add_to_few(column, value, u->rows, u->job->dim, total);
        return;
    }
    for (int64_t i = 0, rows = u->rows; i < rows; i++) total[column[i]] += value[i];
}

/* Entries of a sparse unit that wait for their words. */
struct pending {
    uint64_t word[PENDING];
    uint32_t row[PENDING];
    int count;
};

/* The words at any positions of stream 1, four counters' lanes made for each and one kept. */
static void words_at(const struct pending *wait, const struct stream *s, uint32_t *out) {
    for (int i = 0; i < wait->count; i += LANES) {
        vi low, high, lane, made[4];
        for (int l = 0; l < LANES; l++) {
            uint64_t at = wait->word[i + l];
            low[l] = (uint32_t)(at >> 2);
            high[l] = (uint32_t)(at >> 34) | SECOND << 16;
            lane[l] = (uint32_t)(at & 3);
        }
        philox(low, high, s, made);
        vi first = (vi)(lane == 0) & made[0], second = (vi)(lane == 1) & made[1];
        vi third = (vi)(lane == 2) & made[2], fourth = (vi)(lane == 3) & made[3];
        STORE_WORDS(out + i, first | second | third | fourth);
    }
}

/* Adds the waiting entries to out (forward) or to the totals (out NULL). */
static void flush(struct pending *wait, const struct unit *u, float *out) {
    uint32_t w[PENDING] __attribute__((aligned(64))), column[PENDING] __attribute__((aligned(64)));
    float entry[PENDING] __attribute__((aligned(64)));
    const float *theta = u->job->theta, *grad = u->task->start + u->row;
    const vf magnitude = each_float(u->job->magnitude);
    words_at(wait, u->stream, w);
    for (int i = 0; i < wait->count; i += LANES) {
        vi word = LOAD_WORDS(w + i);
        STORE_WORDS(column + i, column_of(word, u->job->dim));
        STORE_WORDS(entry + i, (vi)magnitude ^ (word & SIGN));
    }
    for (int i = 0; out && i < wait->count; i++) out[wait->row[i]] += entry[i] * theta[column[i]];
    for (int i = 0; !out && i < wait->count; i++) u->total[column[i]] += entry[i] * grad[wait->row[i]];
    wait->count = 0;
}

static void sparse_entries(const struct unit *u, float *out) {
    uint32_t w[UNIT] __attribute__((aligned(64)));
    struct pending wait = {.count = 0};
    const uint32_t *threshold = u->job->thresholds;
    int64_t most = u->job->threshold_count;
    stream_words(w, (uint64_t)u->row / 4, UNIT / 4, VALUES, u->stream);
    for (int64_t r = 0; r < u->rows; r++) {
        uint64_t first = (uint64_t)(u->row + r) * (uint64_t)most;
        for (int64_t e = 0; e < most && threshold[e] <= w[r]; e++) {
            wait.word[wait.count] = first + (uint64_t)e;
            wait.row[wait.count++] = (uint32_t)r;
            if (wait.count == PENDING) flush(&wait, u, out);
        }
    }
    flush(&wait, u, out);
}

static void sparse_unit_forward(const struct unit *u) {
    float made[UNIT] __attribute__((aligned(64))) = {0};
    float *out = u->task->out + u->row;
    sparse_entries(u, made);
    for (int64_t i = 0; i < u->rows; i++) {
        float shift = made[i] * u->task->scale;
        out[i] = u->task->start ? u->task->start[u->row + i] + shift : shift;
    }
}

static void sparse_unit_adjoint(const struct unit *u) {
    if (!all_zero(u->task->start + u->row, u->rows)) sparse_entries(u, NULL);
}

INLINE int each_unit(struct job *job, void (*work)(const struct unit *)) {
    int64_t chunk;
    while (take(&job->next, job->chunk_count, &chunk)) {
        const struct task *t = task_of(job, chunk);
        struct stream s = stream_of(job->seed, t->key);
        struct unit u = {.job = job, .task = t, .stream = &s, .total = job->totals + chunk * job->stride};
        int64_t first = (chunk - t->first_chunk) * t->chunk_units * UNIT, last = first + t->chunk_units * UNIT;
        for (u.row = first; u.row < last && u.row < t->n; u.row += UNIT) {
            u.rows = t->n - u.row < UNIT ? t->n - u.row : UNIT;
            work(&u);
        }
    }
    return 0;
}

static int hashed_forward(struct job *job) { return each_unit(job, hashed_unit_forward); }
static int hashed_adjoint(struct job *job) { return each_unit(job, hashed_unit_adjoint); }
static int sparse_forward(struct job *job) { return each_unit(job, sparse_unit_forward); }
static int sparse_adjoint(struct job *job) { return each_unit(job, sparse_unit_adjoint); }

typedef uint16_t __attribute__((may_alias)) halfword;

/* Entries first + c chunk ... of a stream: half e mod 2 of word e div 2, as an index into `table`. */
static int gaussians(struct fill *f) {
    uint32_t w[UNIT + 8 * LANES] __attribute__((aligned(64)));
    struct stream s = stream_of(f->seed, f->key);
    int64_t chunk;
    while (take(&f->next, f->chunk_count, &chunk)) {
        int64_t at = chunk * UNIT, count = f->count - at < UNIT ? f->count - at : UNIT;
        uint64_t entry = f->first + (uint64_t)at, counter = entry / 8 / LANES * LANES;
        const halfword *half = (const halfword *)w + (entry - 8 * counter);
        int64_t counters = (int64_t)((entry + (uint64_t)count + 7) / 8 - counter);
        stream_words(w, counter, (counters + LANES - 1) / LANES * LANES, f->stream, &s);
        for (int64_t i = 0; i < count; i++) f->out[at + i] = f->table[half[i]];
    }
    return 0;
}

static int fwht(struct transform *t) {
    int64_t chunk;
    while (take(&t->next, t->chunk_count, &chunk)) {
        int64_t first = chunk * t->chunk, count = t->rows - first < t->chunk ? t->rows - first : t->chunk;
        fwht_rows(t->x + first * t->p, count, t->p);
    }
    return 0;
}

/* Other threads still work on the parts: they are running, so this is short, unless they have lost their processor. */
static void wait_for_parts(const int64_t *done, int64_t parts) {
    for (int spins = 0; __atomic_load_n(done, __ATOMIC_ACQUIRE) < parts; spins++)
        if (spins > 1000) sched_yield();
}

/* What UNIT lookups in one of Fastfood's tables take, the least of several times. */
static double lookup_seconds(void) {
    float table[1 << TABLE_BITS], numbers[UNIT] __attribute__((aligned(64)));
    uint32_t at[UNIT] __attribute__((aligned(64)));
    double least = INFINITY;
    for (uint32_t i = 0; i < 1 << TABLE_BITS; i++) table[i] = (float)i;
    for (uint32_t i = 0; i < UNIT; i++) at[i] = i * PHILOX_W0;
    for (int round = 0; round < 20; round++) {
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        for (int i = 0; i < UNIT; i += LANES) STORE(numbers + i, found(table, at + i, 0, TABLE_BITS));
        __asm__ volatile("" : : "r"(numbers) : "memory"); /* they are wanted */
        clock_gettime(CLOCK_MONOTONIC, &to);
        double took = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
        if (took < least) least = took;
    }
    return least;
}

/* The next of chunks first ... first + count - 1 for this thread; -1: none is left. The m-th of T threads begins with
 * the m-th of T shares, in both phases and in every call, so that its own cache mostly holds what it meets; then it
 * takes what the others have not begun. */
static int64_t my_chunk(const struct transform *t, int64_t me, int64_t first, int64_t count, int64_t *tried) {
    while (*tried < count) {
        int64_t chunk = first + (me * count / t->threads + (*tried)++) % count;
        if (!__atomic_exchange_n(t->taken + chunk, 1, __ATOMIC_RELAXED)) return chunk;
    }
    return -1;
}

/* One transform of rows * p floats: chunks 0 ... rows - 1 are its parts, the others groups of columns across them. */
static int fwht_parts(struct transform *t) {
    int64_t me = __atomic_fetch_add(&t->next, 1, __ATOMIC_RELAXED), chunk, tried = 0;
    while ((chunk = my_chunk(t, me, 0, t->rows, &tried)) >= 0) {
        fwht_one(t->x + chunk * t->p, t->p);
        __atomic_fetch_add(&t->done, 1, __ATOMIC_RELEASE);
    }
    wait_for_parts(&t->done, t->rows);
    tried = 0;
    while ((chunk = my_chunk(t, me, t->rows, t->chunk_count - t->rows, &tried)) >= 0) {
        int64_t first = (chunk - t->rows) * t->chunk, last = first + t->chunk < t->p ? first + t->chunk : t->p;
        column_stages(t->x, t->rows, t->p, first, last);
    }
    return 0;
}
