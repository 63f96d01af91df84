/* Columns that grow row by row and are given away as Arrow arrays, without a copy. */

#ifndef TABLESTORE_GROWING_H
#define TABLESTORE_GROWING_H

#include <stdlib.h>

#include "blocks.h"

/* ---- Arrow's C data interface: the one struct that is needed */

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

/* ---- one column; its buffers are given away at the end of a block */

typedef struct {
    uint8_t type;         /* one of blocks.h */
    int64_t count;        /* values so far */
    int64_t nulls;
    int64_t capacity;     /* rows that the buffers below hold */
    uint8_t *valid;       /* bits; NULL while there is no null */
    uint8_t *values;      /* eight bytes each, or bits of booleans, or int32 ends of texts after a first 0 */
    uint8_t *text;
    int64_t text_size, text_capacity;
    int64_t usual_rows, usual_text; /* of the block before: what to allocate first */
} growing;

static inline int is_text(const growing *c) { return c->type == STRING || c->type == BINARY; }

static inline size_t bits(int64_t count) { return (size_t)((count + 7) / 8); }

static inline size_t value_bytes(const growing *c, int64_t rows)
{
    if (is_text(c))
        return 4 * ((size_t)rows + 1);
    return c->type == BOOLEAN ? bits(rows) : 8 * (size_t)rows;
}

static inline int resized(uint8_t **buffer, size_t size)
{
    uint8_t *larger = realloc(*buffer, size ? size : 1);
    if (!larger)
        return 0;
    *buffer = larger;
    return 1;
}

static inline int room_for(growing *c, int64_t rows)
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

static inline int room_for_text(growing *c, int64_t more)
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

static inline void set_bits(uint8_t *to, int64_t from, int64_t until, int value)
{
    for (; from < until && from % 8; from++)
        to[from / 8] = (uint8_t)((to[from / 8] & ~(1 << from % 8)) | value << from % 8);
    if (from < until) { /* the bits after `until` in the last byte are not used yet */
        memset(to + from / 8, value ? 0xFF : 0, bits(until) - (size_t)(from / 8));
    }
}

/* Nulls until the column has `rows` values. */
static inline int fill(growing *c, int64_t rows)
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
static inline int put(growing *c, int64_t row, const uint8_t *data, size_t size)
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

static inline void forget(growing *c)
{
    c->usual_rows = c->count;
    c->usual_text = c->text_size;
    c->valid = c->values = c->text = NULL;
    c->count = c->nulls = c->capacity = c->text_size = c->text_capacity = 0;
}

/* Frees what was not given away. */
static inline void emptied(growing *c)
{
    free(c->valid);
    free(c->values);
    free(c->text);
    forget(c);
}

/* ---- giving columns away */

static inline void release_column(struct ArrowArray *array)
{
    for (int64_t i = 0; i < array->n_buffers; i++)
        free((void *)array->buffers[i]);
    free(array->buffers);
    array->release = NULL;
}

static inline void release_rows(struct ArrowArray *array)
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

static inline int given_away(growing *c, struct ArrowArray *to)
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

/* The beginning of a struct array, whose columns are then added one by one; 0: no memory. */
static inline int begin_rows(struct ArrowArray *to, int32_t columns, int64_t rows)
{
    memset(to, 0, sizeof(*to));
    to->buffers = calloc(1, sizeof(void *));
    to->children = calloc((size_t)columns + 1, sizeof(void *));
    to->release = release_rows;
    to->length = rows;
    to->n_buffers = 1;
    return to->buffers && to->children;
}

/* The next column, null where it has no value; 0: no memory. Whoever began the rows releases them then. */
static inline int add_column(struct ArrowArray *to, growing *c)
{
    struct ArrowArray *child = calloc(1, sizeof(struct ArrowArray));
    if (!child)
        return 0;
    to->children[to->n_children++] = child;
    return fill(c, to->length) && room_for(c, to->length ? to->length : 1)
        && (c->text || !is_text(c) || room_for_text(c, 1)) && given_away(c, child);
}

#endif
