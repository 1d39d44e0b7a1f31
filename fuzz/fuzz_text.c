/* Escaping, hex, UTF-8 and near names. The first byte is the room that escaping gets. */
#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "fuzz/fuzz.h"
#include "lib/own.h"
#include "lib/text.h"

/* What an escaped text stands for, read back independently: dst has room for it. Its length. */
static size_t
unescape(const char *text, char *dst)
{
	size_t n = 0;

	for (; *text != '\0'; n++) {
		if (*text != '\\') {
			dst[n] = *text++;
		} else if (text[1] == '\\') {
			dst[n] = '\\';
			text += 2;
		} else {
			must(text[1] == 'x' && text_unhex(dst + n, 1, text + 2, 2) == 1);
			text += 4;
		}
	}
	return n;
}

static void
check_fit_to_show(const char *text)
{
	must(text_utf8_valid(text, strlen(text)));
	for (; *text != '\0'; text++) {
		must((uint8_t)*text >= 0x20 && *text != 0x7f);
		must((uint8_t)*text != 0xc2 || (uint8_t)text[1] >= 0xa0);
	}
}

static void
check_escape(const char *s, size_t len, size_t room)
{
	auto_free char *whole = malloc(4 * len + 1), *cut = malloc(room + 1),
		       *back = malloc(len + 1);
	size_t n;

	must(whole != NULL && cut != NULL && back != NULL);
	must(text_escape(whole, 4 * len + 1, s, len) == whole);
	check_fit_to_show(whole);
	must(unescape(whole, back) == len && memcmp(back, s, len) == 0);
	cut[room] = 0x55;
	(void)text_escape(cut, room, s, len);
	must(cut[room] == 0x55);
	if (room == 0)
		return;
	check_fit_to_show(cut);
	n = strlen(cut);
	must(n < room);
	if (strlen(whole) < room) {
		must(strcmp(cut, whole) == 0);
	} else {
		must(n <= 3 || strcmp(cut + n - 3, "...") == 0);
		must(n <= 3 || strncmp(cut, whole, n - 3) == 0);
	}
}

static void
check_hex(const char *s, size_t len)
{
	auto_free char *hex = malloc(2 * len + 1), *back = malloc(len + 1);
	int n;

	must(hex != NULL && back != NULL);
	must(strlen(text_hex(hex, s, len)) == 2 * len);
	must(text_unhex(back, len, hex, 2 * len) == (int)len && memcmp(back, s, len) == 0);
	n = text_unhex(back, len, s, len);
	must(n == -EINVAL || (n >= 0 && (size_t)n * 2 == len));
}

/* The JSON library has a reading of UTF-8 of its own. */
static void
check_utf8(const char *s, size_t len)
{
	auto_json json_t *string = json_stringn(s, len);

	must((string != NULL) == text_utf8_valid(s, len));
}

static void
check_nearest(const char *s, size_t len)
{
	static const char *const names[] = { "list-sessions", "list-transfers", "status", "kick" };
	auto_free char *word = malloc(len + 1);
	const char *found;

	must(word != NULL);
	memcpy(word, s, len);
	word[len] = '\0';
	found = text_nearest(word, names, ARRAY_SIZE(names));
	must(found == NULL || found == names[0] || found == names[1] || found == names[2] ||
	     found == names[3]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data + 1;

	if (size == 0)
		return 0;
	size--;
	check_escape(s, size, data[0]);
	check_hex(s, size);
	check_utf8(s, size);
	check_nearest(s, size);
	return 0;
}
