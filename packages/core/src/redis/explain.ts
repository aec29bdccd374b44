/**
 * What stands between us and Redis, in one sentence that says what to do. OpenSSL's own words name a source file and a
 * different number each time.
 */
const BY_CODE: readonly (readonly [code: RegExp, sentence: string])[] = [
  [
    /ALERT_CERTIFICATE_REQUIRED|ALERT_HANDSHAKE_FAILURE/,
    'Redis wants a client certificate: set webhook.redis.tls_cert_file and tls_key_file',
  ],
  [
    /ALERT_CERTIFICATE_EXPIRED/,
    'Redis refuses our client certificate, because it has expired: renew webhook.redis.tls_cert_file',
  ],
  [
    /ALERT_UNKNOWN_CA|ALERT_BAD_CERTIFICATE|ALERT_UNSUPPORTED_CERTIFICATE|ALERT_CERTIFICATE_UNKNOWN/,
    'Redis refuses our client certificate: webhook.redis.tls_cert_file must be signed by the authority in its tls-ca-cert-file',
  ],
  [
    /^(SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT(_LOCALLY)?)$/,
    "we do not trust the server's certificate: set webhook.redis.tls_ca_file to the authority that signed it",
  ],
  [/^CERT_HAS_EXPIRED$/, "the server's certificate has expired: renew the one that Redis uses"],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    "the server's certificate is for another name: reach it by that name, or set webhook.redis.tls_server_name",
  ],
  [
    /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/,
    'the server does not speak TLS on this port: leave webhook.redis.tls_enabled off, or use its tls-port',
  ],
]

const BY_MESSAGE: readonly (readonly [message: RegExp, sentence: string])[] = [
  [
    /^WRONGPASS/,
    'Redis does not know this user or password: check webhook.redis.username and REDIS_PASSWORD',
  ],
  [/^NOAUTH/, 'Redis wants a password: set REDIS_PASSWORD'],
  [/^ERR AUTH .*without any password/, 'Redis has no password, but one is configured: unset REDIS_PASSWORD'],
]

/** The error itself where it says enough; else one whose message is such a sentence, with the error as its cause. */
export function explained(error: Error, tls: boolean): Error {
  const code = 'code' in error ? String(error.code) : ''
  const found =
    BY_CODE.find(([pattern]) => pattern.test(code))?.[1] ??
    BY_MESSAGE.find(([pattern]) => pattern.test(error.message))?.[1]
  if (found !== undefined)
    return new Error(`${found} (${code === '' ? error.message : code})`, { cause: error })
  if (!tls && code === 'ECONNRESET') {
    const hint = 'if the server speaks TLS on this port, set webhook.redis.tls_enabled'
    return new Error(`Redis ended the connection (${error.message}); ${hint}`, { cause: error })
  }
  // A server without TLS takes the handshake for the beginning of a command, and waits for its end.
  if (tls && code === 'ETIMEDOUT') {
    const hint =
      'if the server does not speak TLS on this port, leave webhook.redis.tls_enabled off or use its tls-port'
    return new Error(`Redis did not answer (${error.message}); ${hint}`, { cause: error })
  }
  return error
}
