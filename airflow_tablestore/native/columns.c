/* Blocks of rows to Arrow columns in one pass: the fast path of wire/decode/native.py.

   Knows nothing of Python: it is called through ctypes and hands its columns over by Arrow's C data interface. It takes
   what a well-behaved service sends and answers IRREGULAR to everything else, without saying why: the plain decoder then
   reads the same block again and either finds words for what is wrong or copes with it. So whatever is accepted here
   must be checked here: every length against the end of the block, every checksum, every text for UTF-8.

   Cells without a place in the columns (another type, an unknown name) are noted by where they begin; the caller reads
   them. Sources: tests/vectors/plainbuffer.json and matrix.json; Arrow's C data interface specification.

   Little-endian hosts only; native.py asks. */

#include "growing.h"

/* ---- what is found of one column; the buffers are given away at the end of a block */

typedef struct {
    uint8_t *prefix;      /* the bytes with which a cell of this column begins, as far as they are always the same */
    size_t prefix_size;
    const uint8_t *name;  /* within prefix */
    size_t name_size;
    uint8_t seed;         /* checksum of the name and, if the prefix has it, of the type byte */
    uint8_t is_key;
    int32_t follower;     /* the column whose cell came next the last time; -1: none yet */
    growing to;
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
    checksums crc;
} decoder;

static void clear(decoder *d)
{
    d->stray_count = 0;
    for (int32_t i = 0; i < d->columns; i++)
        emptied(&d->column[i].to);
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
PUBLIC int32_t tablestore_native_version(void) { return 4; }

/* `names` are written one after another, their sizes in `sizes`; NULL when there is no memory. */
PUBLIC decoder *tablestore_decoder_new(int32_t columns, const uint8_t *names, const uint32_t *sizes,
                                       const uint8_t *types, const uint8_t *are_keys)
{
    decoder *d = calloc(1, sizeof(decoder));
    if (!d)
        return NULL;
    make_checksums(&d->crc);
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
        c->to.type = types[i];
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
        c->seed = crc_of(&d->crc, c->name, c->name_size, 0);
        if (!is_text(&c->to)) {
            uint32_t size = c->to.type == BOOLEAN ? 2 : 9;
            memcpy(p, &size, 4);
            p[4] = c->to.type;
            p += 5;
            c->seed = d->crc.of[0][c->seed ^ c->to.type];
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
    uint8_t total = crc_of(&d->crc, at, size, 0);
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
    total = crc_of(&d->crc, at, size, total);
    at += size;
    if (*at == TAG_TIMESTAMP) {
        if (is_key || end - at < 11)
            return NULL;
        total = crc_eight(&d->crc, at + 1, total);
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
            if (is_text(&c->to)) {
                if (end - data < 9)
                    return IRREGULAR;
                if (data[4] != c->to.type)
                    goto stray;
                size = read_u32(data + 5);
                if (read_u32(data) != size + 5 || (uint64_t)(end - data - 9) < (uint64_t)size + 2)
                    return IRREGULAR;
                after = data + 9 + size;
                total = crc_of(&d->crc, data + 4, size + 5, c->seed);
                data += 9;
                if (c->to.type == STRING && !is_utf8(data, size))
                    return IRREGULAR;
            } else if (c->to.type == BOOLEAN) {
                if (end - data < 3 || *data > 1)
                    return IRREGULAR;
                after = data + 1;
                total = d->crc.of[0][c->seed ^ *data];
            } else {
                if (end - data < 10)
                    return IRREGULAR;
                after = data + 8;
                total = crc_eight(&d->crc, data, c->seed);
            }
            if (*after == TAG_TIMESTAMP && !is_key) {
                if (end - after < 11)
                    return IRREGULAR;
                uint64_t now;
                memcpy(&now, after + 1, 8);
                if (now != moment) {
                    moment = now;
                    moment_sum = crc_eight(&d->crc, after + 1, 0);
                }
                total = d->crc.of[7][total] ^ moment_sum;
                after += 9;
            }
            if (after[0] != TAG_CELL_CHECKSUM || after[1] != total)
                return IRREGULAR;
            if (c->to.count > row)
                return IRREGULAR; /* a second version */
            if (!put(&c->to, row, data, size))
                return NO_MEMORY;
            at = after + 2;
            row_sum = d->crc.of[0][row_sum ^ total];
            guess = &c->follower;
            continue;

        stray:
            after = passed(d, at, end, is_key, c != NULL, &total);
            if (!after)
                return IRREGULAR;
            if (c && (c->to.count > row || !fill(&c->to, row + 1)))
                return IRREGULAR;
            if ((c || !is_key) && !note(d, row, at - block, wanted, is_key))
                return NO_MEMORY;
            at = after;
            row_sum = d->crc.of[0][row_sum ^ total];
        }
        /* a row's checksum ends with a byte for the delete marker, which a range read never has: zero */
        if (end - at < 2 || *at != TAG_ROW_CHECKSUM || at[1] != d->crc.of[0][row_sum])
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
    if (end - block < MATRIX_HEAD + 9 || crc_of(&d->crc, block, (size_t)(end - block - 1), 0) != end[-1])
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
            if (wanted >= 0 && d->column[wanted].to.type == type) {
                if (!put(&d->column[wanted].to, row, data, size))
                    goto full;
            } else if (wanted >= 0 || i >= keys) {
                if ((wanted >= 0 && !fill(&d->column[wanted].to, row + 1))
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

static int export_rows(decoder *d, int64_t rows, struct ArrowArray *to)
{
    int is_done = begin_rows(to, d->columns, rows);
    for (int32_t i = 0; is_done && i < d->columns; i++)
        is_done = add_column(to, &d->column[i].to);
    if (!is_done)
        release_rows(to);
    return is_done;
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
