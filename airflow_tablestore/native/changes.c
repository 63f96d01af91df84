/* Records of a change log to Arrow columns in one pass: the fast path of wire/decode/changes.py.

   A record is a block of one row: a key, cells that were put or deleted, perhaps the delete marker, and where it stands
   in the log. Rows differ too much for a column of each name, so there is a row for each record and a row for each of
   its cells, whose value is in the column of its type. As in columns.c, what is not as a well-behaved service sends it
   is IRREGULAR without a reason, and whatever is accepted was checked: lengths, checksums, UTF-8, the table's key.

   Source: tests/vectors/plainbuffer.json, rows with a sequence. */

#include "growing.h"

enum { PUT = 0, DELETE_ALL_VERSIONS = 1, DELETE_ONE_VERSION = 3, ROW_DELETED = 4 };

enum { ACTION_PUT, ACTION_UPDATE, ACTION_DELETE };

enum { RECORD, NUMBER, NAME, OPERATION, VERSION, WHOLE, REAL, TRUTH, TEXT, BYTES, CELL_COLUMNS };

enum { EPOCH, TIME, INDEX, CELLS, PLACE_COLUMNS };

enum { SEQUENCE_SIZE = 29, MOST_KEPT_NAMES = 4096 };

typedef struct {
    size_t place, size;  /* within the bytes of all names */
    int32_t follower;    /* the name that came next the last time; -1: none yet */
    uint8_t sum;         /* checksum of the name */
} known;

typedef struct {
    const uint8_t *name;
    size_t size;
    uint8_t sum;
    growing to;
} key_part;

typedef struct {
    int32_t keys;
    key_part *key;
    uint8_t *key_names;
    growing place[PLACE_COLUMNS], cell[CELL_COLUMNS];
    known *names;
    int32_t name_count, name_capacity;
    uint8_t *name_bytes;
    size_t name_size, name_room;
    int32_t *slots;
    uint32_t mask;
    int32_t first;       /* the name that the first cell of a record had the last time */
    checksums crc;
} changes;

static void clear(changes *c)
{
    for (int32_t i = 0; i < c->keys; i++)
        emptied(&c->key[i].to);
    for (int i = 0; i < PLACE_COLUMNS; i++)
        emptied(&c->place[i]);
    for (int i = 0; i < CELL_COLUMNS; i++)
        emptied(&c->cell[i]);
}

/* ---- names of columns: those that were met, in the order in which they were */

static int more_slots(changes *c)
{
    uint32_t slots = c->mask ? 2 * (c->mask + 1) : 64;
    int32_t *larger = malloc(slots * sizeof(int32_t));
    if (!larger)
        return 0;
    memset(larger, 0xFF, slots * sizeof(int32_t));
    free(c->slots);
    c->slots = larger;
    c->mask = slots - 1;
    for (int32_t i = 0; i < c->name_count; i++) {
        uint32_t at = hash_of(c->name_bytes + c->names[i].place, c->names[i].size, 0) & c->mask;
        while (c->slots[at] >= 0)
            at = (at + 1) & c->mask;
        c->slots[at] = i;
    }
    return 1;
}

static int32_t added(changes *c, const uint8_t *name, size_t size)
{
    if (!is_utf8(name, size))
        return IRREGULAR;
    if (2 * (uint32_t)c->name_count >= c->mask && !more_slots(c))
        return NO_MEMORY;
    if (c->name_count == c->name_capacity) {
        int32_t capacity = c->name_capacity ? 2 * c->name_capacity : 64;
        known *larger = realloc(c->names, (size_t)capacity * sizeof(known));
        if (!larger)
            return NO_MEMORY;
        c->names = larger;
        c->name_capacity = capacity;
    }
    if (c->name_room - c->name_size < size) {
        size_t room = 2 * c->name_room + size;
        if (!resized(&c->name_bytes, room))
            return NO_MEMORY;
        c->name_room = room;
    }
    if (size)
        memcpy(c->name_bytes + c->name_size, name, size);
    c->names[c->name_count] = (known){c->name_size, size, -1, crc_of(&c->crc, name, size, 0)};
    c->name_size += size;
    uint32_t at = hash_of(name, size, 0) & c->mask;
    while (c->slots[at] >= 0)
        at = (at + 1) & c->mask;
    c->slots[at] = c->name_count;
    return c->name_count++;
}

static int is_named(const changes *c, int32_t which, const uint8_t *name, size_t size)
{
    const known *one = &c->names[which];
    return one->size == size && (size == 0 || !memcmp(c->name_bytes + one->place, name, size));
}

static int32_t number_of(changes *c, int32_t guess, const uint8_t *name, size_t size)
{
    if (guess >= 0 && is_named(c, guess, name, size))
        return guess;
    for (uint32_t at = hash_of(name, size, 0) & c->mask; c->slots[at] >= 0; at = (at + 1) & c->mask)
        if (is_named(c, c->slots[at], name, size))
            return c->slots[at];
    return added(c, name, size);
}

/* ---- making and ending */

PUBLIC void tablestore_changes_free(changes *c)
{
    if (!c)
        return;
    if (c->key)
        clear(c);
    free(c->key);
    free(c->key_names);
    free(c->names);
    free(c->name_bytes);
    free(c->slots);
    free(c);
}

/* For a table's key: `names` are written one after another, their sizes in `sizes`. NULL when there is no memory. */
PUBLIC changes *tablestore_changes_new(int32_t keys, const uint8_t *names, const uint32_t *sizes, const uint8_t *types)
{
    static const uint8_t cell_types[CELL_COLUMNS] = {INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER,
                                                     DOUBLE, BOOLEAN, STRING, BINARY};
    static const uint8_t place_types[PLACE_COLUMNS] = {INTEGER, INTEGER, INTEGER, INTEGER};
    size_t total = 0;
    for (int32_t i = 0; i < keys; i++)
        total += sizes[i];
    changes *c = calloc(1, sizeof(changes));
    if (!c)
        return NULL;
    make_checksums(&c->crc);
    c->key = calloc((size_t)keys + 1, sizeof(key_part));
    c->key_names = malloc(total + 1);
    if (!c->key || !c->key_names || !more_slots(c)) {
        tablestore_changes_free(c);
        return NULL;
    }
    memcpy(c->key_names, names, total);
    const uint8_t *name = c->key_names;
    for (int32_t i = 0; i < keys; i++) {
        c->key[i].name = name;
        c->key[i].size = sizes[i];
        c->key[i].sum = crc_of(&c->crc, name, sizes[i], 0);
        c->key[i].to.type = types[i];
        name += sizes[i];
    }
    c->keys = keys;
    c->first = -1;
    for (int i = 0; i < PLACE_COLUMNS; i++)
        c->place[i].type = place_types[i];
    for (int i = 0; i < CELL_COLUMNS; i++)
        c->cell[i].type = cell_types[i];
    return c;
}

/* ---- one record */

static int put_number(growing *to, int64_t row, int64_t value) { return put(to, row, (const uint8_t *)&value, 8); }

/* The value at `at`, after its tag: where it is, and where what follows begins; 0 when it is none. */
static int found_value(const uint8_t *at, const uint8_t *end, uint8_t *type, const uint8_t **data, size_t *size)
{
    if (end - at < 5)
        return 0;
    uint32_t whole = read_u32(at);
    at += 4;
    if ((uint64_t)(end - at) < whole || whole == 0)
        return 0;
    *type = at[0];
    *data = at + 1;
    *size = whole - 1;
    if (*type == INTEGER || *type == DOUBLE)
        return whole == 9;
    if (*type == BOOLEAN)
        return whole == 2 && at[1] <= 1;
    if ((*type != STRING && *type != BINARY) || whole < 5 || read_u32(at + 1) != whole - 5)
        return 0;
    *data += 4;
    *size -= 4;
    return *type == BINARY || is_utf8(*data, *size);
}

/* Reads the key that begins at `at`; where it ends, NULL when it is irregular or (`*failed`) there is no memory. */
static const uint8_t *read_key(changes *c, int64_t row, const uint8_t *at, const uint8_t *end, uint8_t *sum, int *failed)
{
    for (int32_t i = 0; i < c->keys; i++) {
        key_part *part = &c->key[i];
        uint8_t type;
        const uint8_t *data;
        size_t size;
        if ((uint64_t)(end - at) < part->size + 7 || at[0] != TAG_CELL || at[1] != TAG_NAME
            || read_u32(at + 2) != part->size || memcmp(at + 6, part->name, part->size))
            return NULL;
        at += 6 + part->size;
        if (*at != TAG_VALUE || !found_value(at + 1, end, &type, &data, &size) || type != part->to.type)
            return NULL;
        uint8_t total = crc_of(&c->crc, at + 5, (size_t)(data + size - at - 5), part->sum);
        at = data + size;
        if (end - at < 2 || at[0] != TAG_CELL_CHECKSUM || at[1] != total)
            return NULL;
        at += 2;
        *sum = c->crc.of[0][*sum ^ total];
        if (!put(&part->to, row, data, size)) {
            *failed = 1;
            return NULL;
        }
    }
    return at;
}

static growing *column_of(changes *c, uint8_t type)
{
    switch (type) {
    case INTEGER: return &c->cell[WHOLE];
    case DOUBLE: return &c->cell[REAL];
    case BOOLEAN: return &c->cell[TRUTH];
    case STRING: return &c->cell[TEXT];
    default: return &c->cell[BYTES];
    }
}

/* A row for the next cell of a record; the cell's place, or NO_MEMORY. `first` is that of the record's first one. */
static int64_t begin_cell(changes *c, int64_t row, int64_t first, int64_t operation)
{
    int64_t cell = c->cell[RECORD].count;
    if (!put_number(&c->cell[RECORD], cell, row) || !put_number(&c->cell[NUMBER], cell, cell - first)
        || !put_number(&c->cell[OPERATION], cell, operation))
        return NO_MEMORY;
    return cell;
}

/* Reads the cells that begin at `at`; as read_key. They are kept unless `is_passed_over`. */
static const uint8_t *read_cells(changes *c, int64_t row, const uint8_t *at, const uint8_t *end, int64_t first,
                                 int of_stream, int is_passed_over, uint8_t *sum, int *failed)
{
    int32_t *guess = &c->first;
    int64_t last = -1; /* the name before, as its number: names may move while one is added */
    while (at < end && *at == TAG_CELL) {
        if (end - at < 7 || at[1] != TAG_NAME || (uint64_t)(end - at - 7) < read_u32(at + 2))
            return NULL;
        size_t size = read_u32(at + 2);
        int32_t name = number_of(c, *guess, at + 6, size);
        if (name < 0) {
            *failed = name == NO_MEMORY;
            return NULL;
        }
        if (last < 0)
            c->first = name;
        else
            c->names[last].follower = name;
        last = name;
        guess = &c->names[name].follower;
        at += 6 + size;
        uint8_t total = c->names[name].sum, type = 0, operation = PUT;
        const uint8_t *data = NULL, *version = NULL;
        if (*at == TAG_VALUE) {
            if (!found_value(at + 1, end, &type, &data, &size))
                return NULL;
            total = crc_of(&c->crc, at + 5, (size_t)(data + size - at - 5), total);
            at = data + size;
        }
        if (end - at >= 2 && *at == TAG_OP) {
            operation = at[1];
            if (operation != DELETE_ALL_VERSIONS && operation != DELETE_ONE_VERSION)
                return NULL;
            at += 2;
        }
        if (end - at >= 9 && *at == TAG_TIMESTAMP) {
            version = at + 1;
            total = crc_eight(&c->crc, version, total);
            at += 9;
        }
        if (operation != PUT)
            total = c->crc.of[0][total ^ operation];
        if (end - at < 2 || at[0] != TAG_CELL_CHECKSUM || at[1] != total)
            return NULL;
        if ((data != NULL) != (operation == PUT)
            || ((version != NULL) != (operation != DELETE_ALL_VERSIONS) && (of_stream || operation != PUT)))
            return NULL;
        at += 2;
        *sum = c->crc.of[0][*sum ^ total];
        if (is_passed_over)
            continue;
        int64_t cell = begin_cell(c, row, first, operation);
        if (cell < 0 || !put_number(&c->cell[NAME], cell, name)
            || (version && !put(&c->cell[VERSION], cell, version, 8))
            || (data && !put(column_of(c, type), cell, data, size))) {
            *failed = 1;
            return NULL;
        }
    }
    return at;
}

/* The record between `at` and `end`: 1, or IRREGULAR or NO_MEMORY. */
static int read_record(changes *c, int64_t row, const uint8_t *at, const uint8_t *end, uint8_t action, int of_stream)
{
    static const uint8_t begin[5] = {0x75, 0, 0, 0, TAG_KEY};
    int failed = 0;
    uint8_t sum = 0;
    if (end - at < 5 || memcmp(at, begin, 5))
        return IRREGULAR;
    at = read_key(c, row, at + 5, end, &sum, &failed);
    int64_t first = c->cell[RECORD].count;
    if (at && of_stream && action != ACTION_UPDATE && begin_cell(c, row, first, ROW_DELETED) < 0)
        return NO_MEMORY;
    if (at && at < end && *at == TAG_CELLS)
        at = read_cells(c, row, at + 1, end, first, of_stream, of_stream && action == ACTION_DELETE, &sum, &failed);
    if (!at)
        return failed ? NO_MEMORY : IRREGULAR;
    uint8_t is_delete = at < end && *at == TAG_DELETE;
    at += is_delete;
    static const uint8_t head[11] = {TAG_EXTENSION, 24, 0, 0, 0, TAG_SEQUENCE, 19, 0, 0, 0, TAG_EPOCH};
    if (!put_number(&c->place[CELLS], row, c->cell[RECORD].count - first))
        return NO_MEMORY;
    if (end - at == SEQUENCE_SIZE + 2) {
        if (memcmp(at, head, 11) || at[15] != TAG_SEQUENCE_TIME || at[24] != TAG_ROW_INDEX)
            return IRREGULAR;
        if (!put_number(&c->place[EPOCH], row, (int32_t)read_u32(at + 11)) || !put(&c->place[TIME], row, at + 16, 8)
            || !put_number(&c->place[INDEX], row, (int32_t)read_u32(at + 25)))
            return NO_MEMORY;
        at += SEQUENCE_SIZE;
    } else if (of_stream || end - at != 2) /* rows of base data have no place in a log */
        return IRREGULAR;
    /* a row's checksum does not cover its place in the log */
    return at[0] == TAG_ROW_CHECKSUM && at[1] == c->crc.of[0][sum ^ is_delete] ? 1 : IRREGULAR;
}

/* ---- giving away */

static int export_records(changes *c, int64_t rows, struct ArrowArray *to)
{
    int is_done = begin_rows(to, c->keys + PLACE_COLUMNS, rows);
    for (int32_t i = 0; is_done && i < c->keys; i++)
        is_done = add_column(to, &c->key[i].to);
    for (int i = 0; is_done && i < PLACE_COLUMNS; i++)
        is_done = add_column(to, &c->place[i]);
    if (!is_done)
        release_rows(to);
    return is_done;
}

static int export_cells(changes *c, struct ArrowArray *to)
{
    int is_done = begin_rows(to, CELL_COLUMNS, c->cell[RECORD].count);
    for (int i = 0; is_done && i < CELL_COLUMNS; i++)
        is_done = add_column(to, &c->cell[i]);
    if (!is_done)
        release_rows(to);
    return is_done;
}

static int export_names(changes *c, struct ArrowArray *to)
{
    growing names = {.type = STRING};
    int is_done = begin_rows(to, 1, c->name_count);
    for (int32_t i = 0; is_done && i < c->name_count; i++)
        is_done = put(&names, i, c->name_bytes + c->names[i].place, c->names[i].size);
    is_done = is_done && add_column(to, &names);
    if (!is_done) {
        emptied(&names);
        release_rows(to);
    }
    return is_done;
}

/* The number of cells of `count` records, which end at `ends` of `blocks`; or IRREGULAR or NO_MEMORY, and then nothing
   is given away. `actions` has a byte for each: with `of_stream`, one that put or deleted a row begins with a cell
   ROW_DELETED, and a deletion has no other; without, the cells are those that the records have, and a record may be a
   row of base data. */
PUBLIC int64_t tablestore_changes_decode(changes *c, const uint8_t *blocks, const int64_t *ends, int64_t count,
                                         const uint8_t *actions, int32_t of_stream, struct ArrowArray *records,
                                         struct ArrowArray *cells, struct ArrowArray *names)
{
    int state = 1;
    if (count && ends[count - 1] > 0x7FFFFFFF) /* texts end at int32 places */
        return IRREGULAR;
    if (c->name_count > MOST_KEPT_NAMES) {
        memset(c->slots, 0xFF, ((size_t)c->mask + 1) * sizeof(int32_t));
        c->name_count = 0;
        c->name_size = 0;
        c->first = -1;
    }
    for (int64_t row = 0, begin = 0; row < count && state > 0; begin = ends[row++])
        state = read_record(c, row, blocks + begin, blocks + ends[row], actions[row], of_stream);
    int64_t found = c->cell[RECORD].count;
    if (state > 0) {
        state = NO_MEMORY;
        if (export_records(c, count, records)) {
            if (!export_cells(c, cells))
                release_rows(records);
            else if (export_names(c, names))
                state = 1;
            else {
                release_rows(records);
                release_rows(cells);
            }
        }
    }
    if (state > 0)
        return found;
    clear(c);
    return state;
}
