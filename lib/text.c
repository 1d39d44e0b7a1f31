#include "lib/text.h"

#include <errno.h>
#include <string.h>

/* Length of the well-formed character at s (1 to 4), or 0: none begins there. *ret gets its code
 * point. */
static size_t
utf8_char(const uint8_t *s, size_t len, uint32_t *ret)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = s[0];
	size_t n;

	if (c < 0x80)
		n = 1;
	else if (c >= 0xc2 && c < 0xe0)
		n = 2;
	else if (c >= 0xe0 && c < 0xf0)
		n = 3;
	else if (c >= 0xf0 && c < 0xf5)
		n = 4;
	else
		return 0;
	if (n > len)
		return 0;
	if (n > 1)
		c &= 0x7fU >> n;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return n;
}

bool
text_utf8_valid(const char *s, size_t len)
{
	const uint8_t *at = (const uint8_t *)s;
	uint32_t c;
	size_t n;

	for (; len > 0; at += n, len -= n) {
		n = utf8_char(at, len, &c);
		if (n == 0)
			return false;
	}
	return true;
}

/* What a terminal shows as itself: no controls, nothing that breaks or turns the line. */
static bool
printable(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	return c != 0x200e && c != 0x200f && !(c >= 0x2028 && c <= 0x202e) &&
	       !(c >= 0x2066 && c <= 0x2069);
}

/* One character of s, or one byte that cannot be shown, as it is to be written: dst (4 bytes) gets
 * *ret_len bytes. Returns how many bytes of s it stands for. */
static size_t
escape_one(const uint8_t *s, size_t len, char dst[4], size_t *ret_len)
{
	static const char hex[] = "0123456789abcdef";
	uint32_t c = 0;
	size_t n = utf8_char(s, len, &c);

	if (n == 0 || !printable(c)) {
		dst[0] = '\\';
		dst[1] = 'x';
		dst[2] = hex[s[0] >> 4];
		dst[3] = hex[s[0] & 15];
		*ret_len = 4;
		return 1;
	}
	memcpy(dst, s, n);
	*ret_len = n;
	if (c == '\\') {
		dst[1] = '\\';
		*ret_len = 2;
	}
	return n;
}

char *
text_escape(char *dst, size_t size, const char *s, size_t len)
{
	const uint8_t *from = (const uint8_t *)s;
	size_t at = 0, n, used;
	size_t cut = 0; /* behind the last character that leaves room for "..." */
	char one[4];

	if (size == 0)
		return dst;
	for (; len > 0; from += used, len -= used) {
		used = escape_one(from, len, one, &n);
		if (n >= size - at) {
			n = size - 1 - cut < 3 ? size - 1 - cut : 3;
			memcpy(dst + cut, "...", n);
			at = cut + n;
			break;
		}
		memcpy(dst + at, one, n);
		at += n;
		if (size - at > 3)
			cut = at;
	}
	dst[at] = '\0';
	return dst;
}

char *
text_hex(char *dst, const void *bytes, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *b = bytes;

	for (size_t i = 0; i < len; i++) {
		dst[2 * i] = hex[b[i] >> 4];
		dst[2 * i + 1] = hex[b[i] & 15];
	}
	dst[2 * len] = '\0';
	return dst;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
text_unhex(void *dst, size_t size, const char *hex, size_t hex_len)
{
	uint8_t *b = dst;

	if (hex_len % 2 != 0 || hex_len / 2 > INT32_MAX)
		return -EINVAL;
	for (size_t i = 0; i < hex_len; i++)
		if (hex_digit(hex[i]) < 0)
			return -EINVAL;
	if (hex_len / 2 > size)
		return -ENOBUFS;
	for (size_t i = 0; i < hex_len / 2; i++)
		b[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
	return (int)(hex_len / 2);
}

enum { WORD_MAX = 64 };

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Edits (one letter more, less, another, or two swapped) from a to b, both at most WORD_MAX long.
 */
static unsigned
edits(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][WORD_MAX + 1]; /* row i is rows[i % 3] */

	for (unsigned j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		const unsigned *before = rows[(i - 1) % 3];
		unsigned *row = rows[i % 3];

		row[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			unsigned other = a[i - 1] != b[j - 1];

			row[j] = least(before[j - 1] + other, least(before[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], rows[(i - 2) % 3][j - 2] + 1);
		}
	}
	return rows[a_len % 3][b_len];
}

const char *
text_nearest(const char *word, const char *const *names, size_t n)
{
	size_t len = strlen(word);
	const char *nearest = NULL;
	unsigned best; /* one more than still counts */

	if (len > WORD_MAX)
		return NULL;
	best = (len < 6 ? 1 : len < 9 ? 2 : 3) + 1;
	for (size_t i = 0; i < n; i++) {
		size_t name_len = strlen(names[i]);
		unsigned d;

		if (name_len > WORD_MAX)
			continue;
		d = edits(word, len, names[i], name_len);
		if (d < best) {
			best = d;
			nearest = names[i];
		}
	}
	return nearest;
}
