/* Blocks of rows to Arrow columns in one pass: the fast path of
   wire/decode/native.py.

   Knows nothing of Python: it is called through ctypes and hands its columns over by Arrow's C data interface. It takes
   what a well-behaved service sends and answers IRREGULAR to everything else, without saying why: the plain decoder then
   reads the same block again and either finds words for what is wrong or copes with it. So whatever is accepted here
   must be checked here: every length against the end of the block, every checksum, every text for UTF-8.

   Cells without a place in the columns (another type, an unknown name) are noted by where they begin; the caller reads
   them. Sources: tests/vectors/plainbuffer.json and matrix.json; Arrow's C data interface specification.

   Little-endian hosts only; native.py asks. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif

enum { IRREGULAR = -1, NO_MEMORY = -2 };

enum { TAG_KEY = 1, TAG_CELLS, TAG_CELL, TAG_NAME, TAG_VALUE, TAG_OP, TAG_TIMESTAMP, TAG_DELETE, TAG_ROW_CHECKSUM,
       TAG_CELL_CHECKSUM };

enum { INTEGER = 0, DOUBLE = 1, BOOLEAN = 2, STRING = 3, MATRIX_NULL = 6, BINARY = 7 };

/* ---- Arrow's C data interface: the one struct that is needed */

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

/* ---- what is found of one column; the buffers are given away at the end of a block */

typedef struct {
    uint8_t *prefix;      /* the bytes with which a cell of this column begins, as far as they are always the same */
    size_t prefix_size;
    const uint8_t *name;  /* within prefix */
    size_t name_size;
    uint8_t seed;         /* checksum of the name and, if the prefix has it, of the type byte */
    uint8_t type, is_key;
    int32_t follower;     /* the column whose cell came next the last time; -1: none yet */
    int64_t count;        /* values so far */
    int64_t nulls;
    int64_t capacity;     /* rows that the buffers below hold */
    uint8_t *valid;       /* bits; NULL while there is no null */
    uint8_t *values;      /* eight bytes each, or bits of booleans, or int32 ends of texts after a first 0 */
    uint8_t *text;
    int64_t text_size, text_capacity;
    int64_t usual_rows, usual_text; /* of the block before: what to allocate first */
} column;

typedef struct {
    int64_t row, place;
    int32_t column;      /* -1: nobody wanted it */
    int32_t is_key;
} stray;

typedef struct {
    int32_t columns;
    column *column;
    int32_t *slots;      /* open addressing over both kinds of names: keys in one half, attributes in the other */
    uint32_t mask;
    int32_t first_key, first_attribute; /* the guesses at the beginning of a row's parts */
    stray *strays;
    int64_t stray_count, stray_capacity;
    uint8_t crc[16][256]; /* crc[k][b]: checksum of byte b and k zeros after it */
    int failed;           /* out of memory somewhere below */
} decoder;

static uint32_t read_u32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }

/* ---- checksums: CRC-8, polynomial 7, continued from `sum` */

static void make_tables(decoder *d)
{
    for (int b = 0; b < 256; b++) {
        uint8_t c = (uint8_t)b;
        for (int bit = 0; bit < 8; bit++)
            c = (uint8_t)((c << 1) ^ (c & 0x80 ? 0x07 : 0));
        d->crc[0][b] = c;
    }
    for (int k = 1; k < 16; k++)
        for (int b = 0; b < 256; b++)
            d->crc[k][b] = d->crc[0][d->crc[k - 1][b]];
}

static inline uint8_t crc_tail(const decoder *d, const uint8_t *p, size_t size, uint8_t sum)
{
    if (size == 0)
        return sum;
    uint8_t total = d->crc[size - 1][p[0] ^ sum];
    for (size_t i = 1; i < size; i++)
        total ^= d->crc[size - 1 - i][p[i]];
    return total;
}

static inline uint8_t crc_of(const decoder *d, const uint8_t *p, size_t size, uint8_t sum)
{
    const uint8_t (*t)[256] = d->crc;
    for (; size >= 16; size -= 16, p += 16)
        sum = t[15][p[0] ^ sum] ^ t[14][p[1]] ^ t[13][p[2]] ^ t[12][p[3]] ^ t[11][p[4]] ^ t[10][p[5]] ^ t[9][p[6]]
            ^ t[8][p[7]] ^ t[7][p[8]] ^ t[6][p[9]] ^ t[5][p[10]] ^ t[4][p[11]] ^ t[3][p[12]] ^ t[2][p[13]]
            ^ t[1][p[14]] ^ t[0][p[15]];
    return crc_tail(d, p, size, sum);
}

static inline uint8_t crc_eight(const decoder *d, const uint8_t *p, uint8_t sum)
{
    const uint8_t (*t)[256] = d->crc;
    return t[7][p[0] ^ sum] ^ t[6][p[1]] ^ t[5][p[2]] ^ t[4][p[3]] ^ t[3][p[4]] ^ t[2][p[5]] ^ t[1][p[6]] ^ t[0][p[7]];
}

/* ---- text: whether bytes are UTF-8 as Python reads it (no surrogates, nothing longer than needed) */

static int is_utf8(const uint8_t *p, size_t size)
{
    const uint8_t *end = p + size;
    while (p < end) {
        if (end - p >= 8) {
            uint64_t eight;
            memcpy(&eight, p, 8);
            if (!(eight & 0x8080808080808080u)) {
                p += 8;
                continue;
            }
        }
        uint8_t first = *p++;
        if (first < 0x80)
            continue;
        int more;
        uint8_t low = 0x80, high = 0xBF; /* what the second byte may be */
        if (first >= 0xC2 && first <= 0xDF)
            more = 1;
        else if (first >= 0xE0 && first <= 0xEF) {
            more = 2;
            if (first == 0xE0) low = 0xA0;
            if (first == 0xED) high = 0x9F;
        } else if (first >= 0xF0 && first <= 0xF4) {
            more = 3;
            if (first == 0xF0) low = 0x90;
            if (first == 0xF4) high = 0x8F;
        } else
            return 0;
        if (end - p < more || *p < low || *p > high)
            return 0;
        for (p++; --more; p++)
            if ((*p & 0xC0) != 0x80)
                return 0;
    }
    return 1;
}

/* ---- columns */

static int is_text(const column *c) { return c->type == STRING || c->type == BINARY; }

static size_t bits(int64_t count) { return (size_t)((count + 7) / 8); }

static size_t value_bytes(const column *c, int64_t rows)
{
    if (is_text(c))
        return 4 * ((size_t)rows + 1);
    return c->type == BOOLEAN ? bits(rows) : 8 * (size_t)rows;
}

static int resized(uint8_t **buffer, size_t size)
{
    uint8_t *larger = realloc(*buffer, size ? size : 1);
    if (!larger)
        return 0;
    *buffer = larger;
    return 1;
}

static int room_for(column *c, int64_t rows)
{
    if (rows <= c->capacity)
        return 1;
    int64_t capacity = c->capacity * 2;
    if (capacity < c->usual_rows) capacity = c->usual_rows;
    if (capacity < rows) capacity = rows;
    if (capacity < 64) capacity = 64;
    if (!resized(&c->values, value_bytes(c, capacity)) || (c->valid && !resized(&c->valid, bits(capacity))))
        return 0;
    if (c->capacity == 0 && is_text(c))
        memset(c->values, 0, 4);
    c->capacity = capacity;
    return 1;
}

static int room_for_text(column *c, int64_t more)
{
    int64_t wanted = c->text_size + more;
    if (wanted <= c->text_capacity)
        return 1;
    int64_t capacity = c->text_capacity * 2;
    if (capacity < c->usual_text) capacity = c->usual_text;
    if (capacity < wanted) capacity = wanted;
    if (!resized(&c->text, (size_t)capacity))
        return 0;
    c->text_capacity = capacity;
    return 1;
}

static void set_bits(uint8_t *to, int64_t from, int64_t until, int value)
{
    for (; from < until && from % 8; from++)
        to[from / 8] = (uint8_t)((to[from / 8] & ~(1 << from % 8)) | value << from % 8);
    if (from < until) { /* the bits after `until` in the last byte are not used yet */
        memset(to + from / 8, value ? 0xFF : 0, bits(until) - (size_t)(from / 8));
    }
}

/* Nulls until the column has `rows` values. */
static int fill(column *c, int64_t rows)
{
    if (c->count == rows)
        return 1;
    if (!room_for(c, rows))
        return 0;
    if (!c->valid) {
        if (!resized(&c->valid, bits(c->capacity)))
            return 0;
        set_bits(c->valid, 0, c->count, 1);
    }
    set_bits(c->valid, c->count, rows, 0);
    if (is_text(c)) {
        int32_t *ends = (int32_t *)(void *)c->values;
        for (int64_t i = c->count; i < rows; i++)
            ends[i + 1] = (int32_t)c->text_size;
    } else if (c->type == BOOLEAN)
        set_bits(c->values, c->count, rows, 0);
    else
        memset(c->values + 8 * c->count, 0, 8 * (size_t)(rows - c->count));
    c->nulls += rows - c->count;
    c->count = rows;
    return 1;
}

/* The value of row `row`: eight bytes, a boolean, or a text with its size. */
static inline int put(column *c, int64_t row, const uint8_t *data, size_t size)
{
    if (c->count != row && !fill(c, row))
        return 0;
    if (row + 1 > c->capacity && !room_for(c, row + 1))
        return 0;
    if (c->type == INTEGER || c->type == DOUBLE)
        memcpy(c->values + 8 * row, data, 8);
    else if (c->type == BOOLEAN)
        set_bits(c->values, row, row + 1, *data);
    else {
        if (c->text_size + (int64_t)size > c->text_capacity && !room_for_text(c, (int64_t)size))
            return 0;
        if (size)
            memcpy(c->text + c->text_size, data, size);
        c->text_size += (int64_t)size;
        ((int32_t *)(void *)c->values)[row + 1] = (int32_t)c->text_size;
    }
    if (c->valid)
        set_bits(c->valid, row, row + 1, 1);
    c->count = row + 1;
    return 1;
}

static void forget(column *c)
{
    c->usual_rows = c->count;
    c->usual_text = c->text_size;
    c->valid = c->values = c->text = NULL;
    c->count = c->nulls = c->capacity = c->text_size = c->text_capacity = 0;
}

static void clear(decoder *d)
{
    d->stray_count = 0;
    for (int32_t i = 0; i < d->columns; i++) {
        column *c = &d->column[i];
        free(c->valid);
        free(c->values);
        free(c->text);
        forget(c);
    }
}

static int note(decoder *d, int64_t row, int64_t place, int32_t wanted, int is_key)
{
    if (d->stray_count == d->stray_capacity) {
        int64_t capacity = d->stray_capacity ? d->stray_capacity * 2 : 64;
        stray *larger = realloc(d->strays, (size_t)capacity * sizeof(stray));
        if (!larger)
            return 0;
        d->strays = larger;
        d->stray_capacity = capacity;
    }
    d->strays[d->stray_count++] = (stray){row, place, wanted, is_key};
    return 1;
}

/* ---- names */

static uint32_t hash_of(const uint8_t *name, size_t size, int is_key)
{
    uint32_t h = is_key ? 2166136261u : 2166136261u ^ 0x5bd1e995u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ name[i]) * 16777619u;
    return h ^ h >> 15;
}

static int32_t named(const decoder *d, const uint8_t *name, size_t size, int is_key)
{
    for (uint32_t at = hash_of(name, size, is_key) & d->mask;; at = (at + 1) & d->mask) {
        int32_t found = d->slots[at];
        if (found < 0)
            return -1;
        const column *c = &d->column[found];
        if (c->is_key == is_key && c->name_size == size && !memcmp(c->name, name, size))
            return found;
    }
}

/* ---- making and ending a decoder */

PUBLIC void tablestore_decoder_free(decoder *d)
{
    if (!d)
        return;
    if (d->column) {
        clear(d);
        for (int32_t i = 0; i < d->columns; i++)
            free(d->column[i].prefix);
    }
    free(d->column);
    free(d->slots);
    free(d->strays);
    free(d);
}

/* Of the whole library; raised with every change that a caller must know of. */
PUBLIC int32_t tablestore_native_version(void) { return 2; }

/* `names` are written one after another, their sizes in `sizes`; NULL when there is no memory. */
PUBLIC decoder *tablestore_decoder_new(int32_t columns, const uint8_t *names, const uint32_t *sizes,
                                       const uint8_t *types, const uint8_t *are_keys)
{
    decoder *d = calloc(1, sizeof(decoder));
    if (!d)
        return NULL;
    make_tables(d);
    d->first_key = d->first_attribute = -1;
    uint32_t slots = 8;
    while (slots < 2 * (uint32_t)columns + 2)
        slots *= 2;
    d->mask = slots - 1;
    d->slots = malloc(slots * sizeof(int32_t));
    d->column = calloc((size_t)columns + 1, sizeof(column));
    if (!d->slots || !d->column) {
        tablestore_decoder_free(d);
        return NULL;
    }
    memset(d->slots, 0xFF, slots * sizeof(int32_t));
    for (int32_t i = 0; i < columns; i++) {
        column *c = &d->column[i];
        c->type = types[i];
        c->is_key = are_keys[i];
        c->name_size = sizes[i];
        c->follower = -1;
        c->prefix = malloc(6 + c->name_size + 6);
        if (!c->prefix) {
            tablestore_decoder_free(d);
            return NULL;
        }
        d->columns = i + 1;
        uint8_t *p = c->prefix;
        *p++ = TAG_CELL;
        *p++ = TAG_NAME;
        memcpy(p, &sizes[i], 4);
        memcpy(p + 4, names, c->name_size);
        c->name = p + 4;
        p += 4 + c->name_size;
        names += c->name_size;
        *p++ = TAG_VALUE;
        c->seed = crc_of(d, c->name, c->name_size, 0);
        if (!is_text(c)) {
            uint32_t size = c->type == BOOLEAN ? 2 : 9;
            memcpy(p, &size, 4);
            p[4] = c->type;
            p += 5;
            c->seed = d->crc[0][c->seed ^ c->type];
        }
        c->prefix_size = (size_t)(p - c->prefix);
        uint32_t at = hash_of(c->name, c->name_size, c->is_key) & d->mask;
        while (d->slots[at] >= 0)
            at = (at + 1) & d->mask;
        d->slots[at] = i;
    }
    return d;
}

/* ---- PlainBuffer */

/* Where the cell at `at` ends, when it is a whole cell with a value, no operation and the right checksum; NULL when not.
   Cells of a key that nobody wanted are not looked at again, so theirs are checked to the end here. */
static const uint8_t *passed(const decoder *d, const uint8_t *at, const uint8_t *end, int is_key, int is_wanted,
                             uint8_t *sum)
{
    if (end - at < 6 || at[0] != TAG_CELL || at[1] != TAG_NAME)
        return NULL;
    uint32_t size = read_u32(at + 2);
    at += 6;
    if ((uint64_t)(end - at) < (uint64_t)size + 6 || at[size] != TAG_VALUE)
        return NULL;
    if (is_key && !is_wanted && !is_utf8(at, size))
        return NULL;
    uint8_t total = crc_of(d, at, size, 0);
    at += size + 1;
    size = read_u32(at);
    at += 4;
    if ((uint64_t)(end - at) < (uint64_t)size + 2 || size == 0)
        return NULL;
    uint8_t type = at[0];
    if (type == STRING || type == BINARY) {
        if (size < 5 || read_u32(at + 1) != size - 5)
            return NULL;
        if (is_key && !is_wanted && type == STRING && !is_utf8(at + 5, size - 5))
            return NULL;
    } else if (type == INTEGER || (type == DOUBLE && !is_key)) {
        if (size != 9)
            return NULL;
    } else if (type != BOOLEAN || is_key || size != 2 || at[1] > 1)
        return NULL;
    total = crc_of(d, at, size, total);
    at += size;
    if (*at == TAG_TIMESTAMP) {
        if (is_key || end - at < 11)
            return NULL;
        total = crc_eight(d, at + 1, total);
        at += 9;
    }
    if (end - at < 2 || at[0] != TAG_CELL_CHECKSUM || at[1] != total)
        return NULL;
    *sum = total;
    return at + 2;
}

static int64_t read_plain(decoder *d, const uint8_t *block, const uint8_t *end)
{
    const uint8_t *at = block + 4;
    uint64_t moment = 0; /* the timestamp of the cell before, and its checksum */
    uint8_t moment_sum = 0;
    int64_t row = 0;
    for (; at < end && *at; row++) {
        int is_key = 1;
        uint8_t row_sum = 0;
        int32_t *guess = &d->first_key;
        if (*at == TAG_KEY)
            at++;
        else if (*at != TAG_CELLS)
            return IRREGULAR;
        for (;;) {
            int32_t wanted = *guess;
            column *c = wanted < 0 ? NULL : &d->column[wanted];
            if (!c || (size_t)(end - at) < c->prefix_size || memcmp(at, c->prefix, c->prefix_size)) {
                if (at >= end)
                    return IRREGULAR;
                if (*at == TAG_CELLS && is_key) {
                    is_key = 0;
                    guess = &d->first_attribute;
                    at++;
                    continue;
                }
                if (*at != TAG_CELL)
                    break;
                if (end - at < 6 || at[1] != TAG_NAME || (uint64_t)(end - at - 6) < read_u32(at + 2))
                    return IRREGULAR;
                wanted = named(d, at + 6, read_u32(at + 2), is_key);
                c = wanted < 0 ? NULL : &d->column[wanted];
                if (!c || (size_t)(end - at) < c->prefix_size || memcmp(at, c->prefix, c->prefix_size))
                    goto stray;
                *guess = wanted;
            }
            const uint8_t *data = at + c->prefix_size, *after;
            size_t size = 8;
            uint8_t total;
            if (is_text(c)) {
                if (end - data < 9)
                    return IRREGULAR;
                if (data[4] != c->type)
                    goto stray;
                size = read_u32(data + 5);
                if (read_u32(data) != size + 5 || (uint64_t)(end - data - 9) < (uint64_t)size + 2)
                    return IRREGULAR;
                after = data + 9 + size;
                total = crc_of(d, data + 4, size + 5, c->seed);
                data += 9;
                if (c->type == STRING && !is_utf8(data, size))
                    return IRREGULAR;
            } else if (c->type == BOOLEAN) {
                if (end - data < 3 || *data > 1)
                    return IRREGULAR;
                after = data + 1;
                total = d->crc[0][c->seed ^ *data];
            } else {
                if (end - data < 10)
                    return IRREGULAR;
                after = data + 8;
                total = crc_eight(d, data, c->seed);
            }
            if (*after == TAG_TIMESTAMP && !is_key) {
                if (end - after < 11)
                    return IRREGULAR;
                uint64_t now;
                memcpy(&now, after + 1, 8);
                if (now != moment) {
                    moment = now;
                    moment_sum = crc_eight(d, after + 1, 0);
                }
                total = d->crc[7][total] ^ moment_sum;
                after += 9;
            }
            if (after[0] != TAG_CELL_CHECKSUM || after[1] != total)
                return IRREGULAR;
            if (c->count > row)
                return IRREGULAR; /* a second version */
            if (!put(c, row, data, size))
                return NO_MEMORY;
            at = after + 2;
            row_sum = d->crc[0][row_sum ^ total];
            guess = &c->follower;
            continue;

        stray:
            after = passed(d, at, end, is_key, c != NULL, &total);
            if (!after)
                return IRREGULAR;
            if (c && (c->count > row || !fill(c, row + 1)))
                return IRREGULAR;
            if ((c || !is_key) && !note(d, row, at - block, wanted, is_key))
                return NO_MEMORY;
            at = after;
            row_sum = d->crc[0][row_sum ^ total];
        }
        /* a row's checksum ends with a byte for the delete marker, which a range read never has: zero */
        if (end - at < 2 || *at != TAG_ROW_CHECKSUM || at[1] != d->crc[0][row_sum])
            return IRREGULAR;
        at += 2;
    }
    for (; at < end; at++)
        if (*at)
            return IRREGULAR;
    return row;
}

/* ---- SimpleRowMatrix */

enum { MATRIX_ROW = 2, MATRIX_CHECKSUM = 1, MATRIX_ENTIRE_KEY = 10, MATRIX_ROW_COUNT = 3, MATRIX_HEAD = 20,
       MOST_FIELDS = 4096 };

static int64_t read_matrix(decoder *d, const uint8_t *block, const uint8_t *end)
{
    if (end - block < MATRIX_HEAD + 9 || crc_of(d, block, (size_t)(end - block - 1), 0) != end[-1])
        return IRREGULAR;
    uint32_t keys = read_u32(block + 12), others = read_u32(block + 16);
    if (keys > MOST_FIELDS || others > MOST_FIELDS)
        return IRREGULAR;
    uint32_t fields = keys + others;
    int32_t *places = malloc((fields + 1) * sizeof(int32_t));
    uint32_t *hashes = malloc((fields + 1) * sizeof(uint32_t));
    int64_t row = places && hashes ? IRREGULAR : NO_MEMORY;
    const uint8_t *at = block + MATRIX_HEAD;
    if (row == NO_MEMORY)
        goto done;
    end--; /* the checksum; its tag is the last byte that is read below */
    for (uint32_t i = 0; i < fields; i++) {
        uint16_t size;
        if (end - at < 2)
            goto done;
        memcpy(&size, at, 2);
        at += 2;
        if (size > 0x7FFF || end - at < size || !is_utf8(at, size))
            goto done;
        int is_key = i < keys;
        places[i] = named(d, at, size, is_key);
        hashes[i] = hash_of(at, size, is_key);
        for (uint32_t k = 0; k < i; k++)
            if (hashes[k] == hashes[i]) /* one name twice, or by a rare chance two names: the plain decoder knows */
                goto done;
        at += size;
    }
    if (end - at < 7 || read_u32(block + 8) != (uint32_t)(at - block) || read_u32(block + 4) != (uint32_t)(at - block) + 7
        || at[0] != MATRIX_ENTIRE_KEY || at[1] > 1 || at[2] != MATRIX_ROW_COUNT || read_u32(at + 3) > 0x7FFFFFFF)
        goto done;
    int64_t rows = read_u32(at + 3);
    at += 7;
    for (row = 0; row < rows; row++) {
        if (at >= end || *at++ != MATRIX_ROW)
            goto irregular;
        for (uint32_t i = 0; i < fields; i++) {
            if (at >= end)
                goto irregular;
            const uint8_t *cell = at;
            uint8_t type = *at++;
            const uint8_t *data = at;
            size_t size;
            if (type == MATRIX_NULL)
                continue;
            if (type == INTEGER || type == DOUBLE)
                size = 8;
            else if (type == BOOLEAN) {
                size = 1;
                if (at >= end || *at > 1)
                    goto irregular;
            } else if (type == STRING || type == BINARY) {
                if (end - at < 4)
                    goto irregular;
                size = read_u32(at);
                data = at + 4;
            } else
                goto irregular;
            if (data > end || (uint64_t)(end - data) < size)
                goto irregular;
            at = data + size;
            if (type == STRING && !is_utf8(data, size))
                goto irregular;
            int32_t wanted = places[i];
            if (wanted >= 0 && d->column[wanted].type == type) {
                if (!put(&d->column[wanted], row, data, size))
                    goto full;
            } else if (wanted >= 0 || i >= keys) {
                if ((wanted >= 0 && !fill(&d->column[wanted], row + 1))
                    || !note(d, row, cell - block, wanted, (int)i))
                    goto full;
            }
        }
    }
    if (end - at != 1 || *at != MATRIX_CHECKSUM)
        goto irregular;
    goto done;
full:
    row = NO_MEMORY;
    goto done;
irregular:
    row = IRREGULAR;
done:
    free(places);
    free(hashes);
    return row;
}

/* ---- giving columns away */

static void release_column(struct ArrowArray *array)
{
    for (int64_t i = 0; i < array->n_buffers; i++)
        free((void *)array->buffers[i]);
    free(array->buffers);
    array->release = NULL;
}

static void release_rows(struct ArrowArray *array)
{
    for (int64_t i = 0; i < array->n_children; i++) {
        struct ArrowArray *child = array->children[i];
        if (child->release)
            child->release(child);
        free(child);
    }
    free(array->children);
    free(array->buffers);
    array->release = NULL;
}

static int given_away(column *c, struct ArrowArray *to)
{
    int64_t buffers = is_text(c) ? 3 : 2;
    to->buffers = calloc((size_t)buffers, sizeof(void *));
    if (!to->buffers)
        return 0;
    to->length = c->count;
    to->null_count = c->nulls;
    to->n_buffers = buffers;
    to->buffers[0] = c->valid;
    to->buffers[1] = c->values;
    if (is_text(c))
        to->buffers[2] = c->text;
    to->release = release_column;
    forget(c);
    return 1;
}

static int export_rows(decoder *d, int64_t rows, struct ArrowArray *to)
{
    memset(to, 0, sizeof(*to));
    to->buffers = calloc(1, sizeof(void *));
    to->children = calloc((size_t)d->columns + 1, sizeof(void *));
    to->release = release_rows;
    to->length = rows;
    to->n_buffers = 1;
    if (!to->buffers || !to->children)
        goto failed;
    for (int32_t i = 0; i < d->columns; i++) {
        column *c = &d->column[i];
        struct ArrowArray *child = calloc(1, sizeof(struct ArrowArray));
        if (!child)
            goto failed;
        to->children[to->n_children++] = child;
        if (!fill(c, rows) || !room_for(c, rows ? rows : 1) || !(c->text || !is_text(c) || room_for_text(c, 1))
            || !given_away(c, child))
            goto failed;
    }
    return 1;
failed:
    release_rows(to);
    return 0;
}

/* The number of rows, whose columns are then in `to`; or IRREGULAR or NO_MEMORY, and nothing is in `to`.
   What has no place in the columns is told by tablestore_decoder_strays until the next call. */
PUBLIC int64_t tablestore_decoder_decode(decoder *d, const uint8_t *block, size_t size, struct ArrowArray *to)
{
    static const uint8_t plain[4] = {0x75, 0, 0, 0}, matrix[4] = {'S', 'R', 'M', '0'};
    int64_t rows = size ? IRREGULAR : 0;
    d->stray_count = 0;
    if (size > 0x7FFFFFFF) /* texts end at int32 places */
        return IRREGULAR;
    if (size >= 4 && !memcmp(block, plain, 4))
        rows = read_plain(d, block, block + size);
    else if (size >= 4 && !memcmp(block, matrix, 4))
        rows = read_matrix(d, block, block + size);
    if (rows >= 0 && !export_rows(d, rows, to))
        rows = NO_MEMORY;
    if (rows < 0)
        clear(d);
    return rows;
}

PUBLIC const stray *tablestore_decoder_strays(const decoder *d, int64_t *count)
{
    *count = d->stray_count;
    return d->strays;
}
