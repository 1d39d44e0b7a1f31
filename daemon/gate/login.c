#include "daemon/gate/login.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "lib/err.h"
#include "lib/message.h"
#include "lib/own.h"
#include "lib/text.h"

/* RFC 9266 */
static const char exporter_label[] = "EXPORTER-Channel-Binding";

#define ROOM(field) (sizeof(((struct packet_login *)NULL)->field))

struct args {
	struct message_str user, password, key, signature;
};

enum { HAS_USER = 1 << 0, HAS_PASSWORD = 1 << 1, HAS_KEY = 1 << 2, HAS_SIGNATURE = 1 << 3 };

static const struct message_field fields[] = {
	{ "user", MESSAGE_STR, offsetof(struct args, user), ROOM(user) - 1, false },
	{ "password", MESSAGE_STR, offsetof(struct args, password), ROOM(password), false },
	{ "key", MESSAGE_STR, offsetof(struct args, key), 2 * ROOM(key), false },
	{ "signature", MESSAGE_STR, offsetof(struct args, signature), 2 * ROOM(signature), false },
};

static int
refuse(int error, const char *why, char *ret_why)
{
	(void)snprintf(ret_why, REQUEST_WHY_MAX, "%s", why);
	return error;
}

static int
read_password(const struct args *a, struct packet_login *p)
{
	memcpy(p->password, a->password.data, a->password.len);
	p->password_len = (uint32_t)a->password.len;
	return 0;
}

static int
read_key(const struct args *a, const struct login_line *line, struct packet_login *p, char *ret_why)
{
	if (text_unhex(p->key, sizeof(p->key), a->key.data, a->key.len) != (int)sizeof(p->key) ||
	    text_unhex(p->signature, sizeof(p->signature), a->signature.data, a->signature.len) !=
		(int)sizeof(p->signature))
		return refuse(-FTD_E_bad_request,
			      "key must be 64 hex digits and signature 128 of them", ret_why);
	if (line->tls == NULL || tls_version(line->tls) != CONFIG_TLS_1_3)
		return refuse(-FTD_E_tls_required, "a login with a key needs TLS 1.3", ret_why);
	if (SSL_export_keying_material(line->tls->ssl, p->exporter, sizeof(p->exporter),
				       exporter_label, sizeof(exporter_label) - 1, NULL, 0, 0) != 1)
		return -FTD_E_internal;
	return 0;
}

/* The one common name of a certificate that was verified. */
static bool
common_name(const X509 *certificate, char *ret, size_t size)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *text = NULL;
	bool whole;
	int len;

	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return false;
	len =
	    ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	whole = len > 0 && (size_t)len < size && memchr(text, '\0', (size_t)len) == NULL;
	if (whole) {
		memcpy(ret, text, (size_t)len);
		ret[len] = '\0';
	}
	OPENSSL_free(text);
	return whole;
}

static int
read_certificate(const struct login_line *line, struct packet_login *p, char *ret_why)
{
	const X509 *certificate = NULL;

	if (line->tls != NULL && SSL_get_verify_result(line->tls->ssl) == X509_V_OK)
		certificate = SSL_get0_peer_certificate(line->tls->ssl);
	if (certificate == NULL)
		return refuse(-FTD_E_auth_failed, "no client certificate was shown", ret_why);
	if (!common_name(certificate, p->user, sizeof(p->user)))
		return refuse(-FTD_E_auth_failed, "the client certificate names no user", ret_why);
	return 0;
}

int
login_read(const struct request *rq, const struct login_line *line, struct packet_login *ret,
	   char *ret_why)
{
	struct args a = { 0 };
	uint64_t has;
	int r;

	*ret = (struct packet_login){ 0 };
	ret_why[0] = '\0';
	if (rq->more || rq->has_body)
		return refuse(-FTD_E_bad_request, "a login has no body", ret_why);
	r = request_decode(rq, fields, ARRAY_SIZE(fields), &a, &has, ret_why);
	if (r < 0)
		return r;
	packet_id_read(&ret->id, rq->id);
	if (has & HAS_USER)
		memcpy(ret->user, a.user.data, a.user.len);
	if (line->tls == NULL && !line->loopback)
		return refuse(-FTD_E_tls_required, "a login from another machine needs TLS",
			      ret_why);
	switch (has) {
	case HAS_USER | HAS_PASSWORD:
		ret->method = LOGIN_PASSWORD;
		return read_password(&a, ret);
	case HAS_USER | HAS_KEY | HAS_SIGNATURE:
		ret->method = LOGIN_KEY;
		return read_key(&a, line, ret, ret_why);
	case 0:
		ret->method = LOGIN_CERTIFICATE;
		return read_certificate(line, ret, ret_why);
	default:
		return refuse(-FTD_E_bad_request,
			      "a login has user and password, or user, key and signature, or, with "
			      "a client certificate, nothing",
			      ret_why);
	}
}
