/* Arrow columns to delimited lines in one pass: the fast path of pipeline/formats/native_lines.py.

   Quotes a text when it holds the delimiter, a quote or a line break, is empty, equals the word for null, or begins or
   ends with a blank; empty binary when a null would look the same; never a null. Integers, booleans and binary (base64) are written here; what else there is comes as
   text. The caller sees to it that nothing but text and an empty binary can need quotes. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif

enum { INTEGER = 0, BOOLEAN = 2, TEXT = 3, BINARY = 7 };

/* One column, as Arrow lays it out; `first` is the row of the buffers with which the batch begins. */
typedef struct {
    const uint8_t *valid;  /* NULL: no nulls */
    const uint8_t *values; /* int64, bits, or the int32 places of texts */
    const uint8_t *text;
    int64_t first;
    int64_t type;
} cells;

typedef struct {
    uint8_t *bytes;
    size_t size, capacity;
} buffer;

static int bit(const uint8_t *bits, int64_t at) { return bits[at / 8] >> at % 8 & 1; }

static int room(buffer *b, size_t more)
{
    if (b->capacity - b->size >= more)
        return 1;
    size_t capacity = b->capacity + b->capacity / 2 + more;
    uint8_t *larger = realloc(b->bytes, capacity);
    if (!larger)
        return 0;
    b->bytes = larger;
    b->capacity = capacity;
    return 1;
}

static uint8_t *put_integer(uint8_t *to, int64_t value)
{
    static const char pairs[] = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243"
                                "4445464748495051525354555657585960616263646566676869707172737475767778798081828384858687"
                                "888990919293949596979899";
    char digits[20];
    char *p = digits + sizeof(digits);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    while (rest >= 100) {
        p -= 2;
        memcpy(p, pairs + 2 * (rest % 100), 2);
        rest /= 100;
    }
    if (rest >= 10) {
        p -= 2;
        memcpy(p, pairs + 2 * rest, 2);
    } else
        *--p = (char)('0' + rest);
    if (value < 0)
        *to++ = '-';
    size_t size = (size_t)(digits + sizeof(digits) - p);
    memcpy(to, p, size);
    return to + size;
}

static uint8_t *put_base64(uint8_t *to, const uint8_t *data, size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (; size >= 3; size -= 3, data += 3) {
        uint32_t three = (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];
        *to++ = letters[three >> 18];
        *to++ = letters[three >> 12 & 63];
        *to++ = letters[three >> 6 & 63];
        *to++ = letters[three & 63];
    }
    if (size) {
        uint32_t rest = (uint32_t)data[0] << 16 | (size == 2 ? (uint32_t)data[1] << 8 : 0);
        *to++ = letters[rest >> 18];
        *to++ = letters[rest >> 12 & 63];
        *to++ = size == 2 ? letters[rest >> 6 & 63] : '=';
        *to++ = '=';
    }
    return to;
}

static int is_blank(uint8_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }

/* Whether any of eight bytes is `c`. */
static uint64_t holds(uint64_t eight, uint8_t c)
{
    uint64_t x = eight ^ 0x0101010101010101u * c;
    return (x - 0x0101010101010101u) & ~x & 0x8080808080808080u;
}

static int needs_quotes(const uint8_t *text, size_t size, uint8_t delimiter, const uint8_t *null, size_t null_size)
{
    if (size == 0 || is_blank(text[0]) || is_blank(text[size - 1]))
        return 1;
    if (size == null_size && !memcmp(text, null, size))
        return 1;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t eight;
        memcpy(&eight, text + i, 8);
        if (holds(eight, delimiter) | holds(eight, '"') | holds(eight, '\n') | holds(eight, '\r'))
            return 1;
    }
    for (; i < size; i++)
        if (text[i] == delimiter || text[i] == '"' || text[i] == '\n' || text[i] == '\r')
            return 1;
    return 0;
}

static uint8_t *put_quoted(uint8_t *to, const uint8_t *text, size_t size)
{
    *to++ = '"';
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"')
            *to++ = '"';
        *to++ = text[i];
    }
    *to++ = '"';
    return to;
}

/* The lines of all rows, which the caller gives back to tablestore_lines_free; NULL when there is no memory. */
PUBLIC uint8_t *tablestore_lines_write(const cells *columns, int64_t count, int64_t rows, uint8_t delimiter,
                                       const uint8_t *null, size_t null_size, size_t *written)
{
    enum { LONGEST_NUMBER = 20 };
    buffer out = {NULL, 0, 0};
    if (!room(&out, (size_t)rows * (size_t)count * 8 + 1))
        return NULL;
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t i = 0; i < count; i++) {
            const cells *c = &columns[i];
            int64_t at = c->first + row;
            const uint8_t *text = NULL;
            size_t size = 0;
            int is_null = c->valid && !bit(c->valid, at);
            if (!is_null && (c->type == TEXT || c->type == BINARY)) {
                int32_t places[2];
                memcpy(places, c->values + 4 * at, 8);
                text = c->text + places[0];
                size = (size_t)(places[1] - places[0]);
            }
            if (!room(&out, 2 * size + null_size + LONGEST_NUMBER + 8)) {
                free(out.bytes);
                return NULL;
            }
            uint8_t *to = out.bytes + out.size;
            if (is_null) {
                memcpy(to, null, null_size);
                to += null_size;
            } else if (c->type == INTEGER) {
                int64_t value;
                memcpy(&value, c->values + 8 * at, 8);
                to = put_integer(to, value);
            } else if (c->type == BOOLEAN) {
                int is_true = bit(c->values, at);
                memcpy(to, is_true ? "true" : "false", 5);
                to += is_true ? 4 : 5;
            } else if (size == 0 && (c->type == TEXT || null_size == 0)) {
                *to++ = '"';
                *to++ = '"';
            } else if (c->type == BINARY) {
                to = put_base64(to, text, size);
            } else if (needs_quotes(text, size, delimiter, null, null_size)) {
                to = put_quoted(to, text, size);
            } else {
                memcpy(to, text, size);
                to += size;
            }
            *to++ = i + 1 < count ? delimiter : '\n';
            out.size = (size_t)(to - out.bytes);
        }
    }
    *written = out.size;
    return out.bytes;
}

PUBLIC void tablestore_lines_free(uint8_t *lines) { free(lines); }
