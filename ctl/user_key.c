#include <string.h>

#include "ctl/command.h"
#include "ctl/local.h"
#include "ctl/user.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/text.h"

struct key_words {
	const char *key; /* 64 hex digits; for removal a label will do */
	const char *label;
};

static int
refuse_key(json_t *answer)
{
	return local_refuse(answer, -FTD_E_bad_request,
			    "a key is %d hex digits, an Ed25519 public key", 2 * USER_KEY_SIZE);
}

static int
add_key(struct user *u, const void *how, json_t *answer)
{
	const struct key_words *words = how;
	struct user_key *key = &u->keys[u->n_keys];
	const char *label = words->label != NULL ? words->label : "";

	if (u->n_keys == USER_KEYS_MAX)
		return local_refuse(answer, -FTD_E_bad_request, "%s has %d keys; remove one first",
				    u->name, USER_KEYS_MAX);
	if (text_unhex(key->bytes, sizeof(key->bytes), words->key, strlen(words->key)) !=
	    USER_KEY_SIZE)
		return refuse_key(answer);
	if (words->label != NULL && !users_label_is_valid(label, strlen(label)))
		return local_refuse(answer, -FTD_E_bad_request,
				    "a label is 1 to %d of A-Z a-z 0-9 @ . _ -", USER_LABEL_MAX);
	memcpy(key->label, label, strlen(label) + 1);
	u->n_keys++; /* a key or a label that is there twice is told by who reads the line */
	return 0;
}

static bool
is_key(const struct user_key *key, const char *word)
{
	char hex[2 * USER_KEY_SIZE + 1];

	return strcasecmp(text_hex(hex, key->bytes, USER_KEY_SIZE), word) == 0 ||
	       (key->label[0] != '\0' && strcmp(key->label, word) == 0);
}

static int
remove_key(struct user *u, const void *how, json_t *answer)
{
	const struct key_words *words = how;

	for (unsigned i = 0; i < u->n_keys; i++)
		if (is_key(&u->keys[i], words->key)) {
			u->n_keys--;
			memmove(&u->keys[i], &u->keys[i + 1], (u->n_keys - i) * sizeof(u->keys[0]));
			return 0;
		}
	return local_refuse(answer, -FTD_E_not_found, "%s has no such key", u->name);
}

static int
edit(const struct options *o, const json_t *request, struct user_change c, json_t *answer)
{
	struct key_words words = { .key = json_string_value(json_object_get(request, "key")),
				   .label = o->value[OPTION_LABEL] };

	c.how = &words;
	return user_edit(o, request, &c, answer);
}

static int
key_add(const struct options *o, const json_t *request, json_t *answer)
{
	return edit(o, request, (struct user_change){ .apply = add_key, .done = "key added" },
		    answer);
}

static int
key_remove(const struct options *o, const json_t *request, json_t *answer)
{
	return edit(o, request, (struct user_change){ .apply = remove_key, .done = "key removed" },
		    answer);
}

const struct verb verb_user_key_add = {
	.key = "user", .required = true, .key2 = "key", .local = key_add, .show = report_user_edit
};
const struct verb verb_user_key_remove = { .key = "user",
					   .required = true,
					   .key2 = "key",
					   .local = key_remove,
					   .show = report_user_edit };
