#include "daemon/common/packet.h"

#include <string.h>

#include "lib/request.h"

_Static_assert(sizeof(((struct packet_id *)NULL)->text) == MESSAGE_ID_MAX, "an id fits its packet");

void
packet_id_read(struct packet_id *p, const json_t *id)
{
	*p = (struct packet_id){ .kind = PACKET_ID_NONE };
	if (!request_id_is_valid(id))
		return;
	if (json_is_integer(id)) {
		p->kind = PACKET_ID_INTEGER;
		p->number = json_integer_value(id);
		return;
	}
	p->kind = PACKET_ID_TEXT;
	p->len = (uint32_t)json_string_length(id);
	memcpy(p->text, json_string_value(id), p->len);
}

json_t *
packet_id_json(const struct packet_id *p)
{
	switch (p->kind) {
	case PACKET_ID_INTEGER:
		return json_integer(p->number);
	case PACKET_ID_TEXT:
		return p->len <= sizeof(p->text) ? json_stringn(p->text, p->len) : NULL;
	default:
		return NULL;
	}
}
