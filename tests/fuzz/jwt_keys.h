/* The keys of the JWT corpus, and all that their owner ever signed; the private keys are gone. Made
 * with the corpus. */
#ifndef LA_FUZZ_JWT_KEYS_H
#define LA_FUZZ_JWT_KEYS_H

#define JWT_KEYS                                                                                   \
    "{\"keys\": [{\"kty\": \"RSA\", \"kid\": \"r\", \"n\": "                                       \
    "\"usNJX0uP8LlYkL1kYmYfw-nxofMa3SFI7An9r5RcLQsD6Lq"                                            \
    "EhbpQehTKi5BqsZv9Oag8OmtBBsfwFEF0jnhRRsidQjdR2_VDQX6EUXpkkdNvdlH95A5_ZUXgZGxOEmyeHLjaGiGBw"   \
    "4qwx0v_wcQ5L2yt-64vYTR0e09BwShzyla04zaz_vxq_RSCin2ru0fXTNGQ20xP_y1R66_XGl5hOnJgInciXtlbQ4I"   \
    "DqjxHp2iAN4R9uP1x2WXUo3mC1IxXq-HsPaT2EFjvloEr-bcoGkw3QTRKqlLtK-tHMacchaMiB0_4vB9dsj8nQ3Ute"   \
    "aFSyhk2gWK5KF27IgPyDYY7Ew\", \"e\": \"AQAB\"}, {\"kty\": \"EC\", \"crv\": \"P-256\", "        \
    "\"kid\": \"e\", \"x\": \""                                                                    \
    "adnLyEOl0wSTV93LVBQtB6oGVpO3of0Q3Cw-PLfFT-E\", \"y\": "                                       \
    "\"_te6kQPKLon6B68RlcuUhXu3qwQUJWdbusxGSW"                                                     \
    "Z1Fr8\"}, {\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"kid\": \"d\", \"x\": "                   \
    "\"5qoN9aMHNuXz7PsBowArhTaSrizOCb"                                                             \
    "KWtKg6Eo7brd4\"}, {\"kty\": \"oct\", \"kid\": \"h\", \"k\": "                                 \
    "\"10bcwI-6VL1Kus-Sx56DJHL4RVy6ZLxjFzRI_4HW"                                                   \
    "52IElcY3YaYa9NJWPJKxRbk7b4YLMcUZ5aavaFcm16Pw4w\"}]}"

static const char *const jwt_signed[] = {
    "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInIiLCAidHlwIjogIkpXVCJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZHAuZXhhb"
    "XBsZSIsICJzdWIiOiAiYWxpY2UiLCAiYXVkIjogWyJsbGFtYS1zdGFjayJdLCAiZXhwIjogMTgwMDAwMDAwMCwgIm5"
    "iZiI6IDE2MDAwMDAwMDAsICJzY29wZSI6ICJhIGIifQ",
    "eyJhbGciOiAiUFMyNTYiLCAia2lkIjogInIifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZHAuZXhhbXBsZSIsICJzdWIiOiA"
    "iYWxpY2UiLCAiYXVkIjogWyJsbGFtYS1zdGFjayJdLCAiZXhwIjogMTgwMDAwMDAwMCwgIm5iZiI6IDE2MDAwMDAwM"
    "DAsICJzY29wZSI6ICJhIGIifQ",
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogImUiLCAidHlwIjogImF0K2p3dCJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZHAuZ"
    "XhhbXBsZSIsICJzdWIiOiAiYWxpY2UiLCAiYXVkIjogWyJsbGFtYS1zdGFjayJdLCAiZXhwIjogMTgwMDAwMDAwMCw"
    "gIm5iZiI6IDE2MDAwMDAwMDAsICJzY29wZSI6ICJhIGIifQ",
    "eyJhbGciOiAiRWREU0EiLCAia2lkIjogImQifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZHAuZXhhbXBsZSIsICJzdWIiOiA"
    "iYWxpY2UiLCAiYXVkIjogWyJsbGFtYS1zdGFjayJdLCAiZXhwIjogMTgwMDAwMDAwMCwgIm5iZiI6IDE2MDAwMDAwM"
    "DAsICJzY29wZSI6ICJhIGIifQ",
    "eyJhbGciOiAiSFMyNTYiLCAia2lkIjogImgifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZHAuZXhhbXBsZSIsICJzdWIiOiA"
    "iYWxpY2UiLCAiYXVkIjogWyJsbGFtYS1zdGFjayJdLCAiZXhwIjogMTgwMDAwMDAwMCwgIm5iZiI6IDE2MDAwMDAwM"
    "DAsICJzY29wZSI6ICJhIGIifQ",
    "eyJhbGciOiAiSFMyNTYiLCAia2lkIjogImgifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZHAuZXhhbXBsZSIsICJzdWIiOiA"
    "iYWxpY2UiLCAiYXVkIjogWyJsbGFtYS1zdGFjayJdLCAiZXhwIjogMSwgIm5iZiI6IDE2MDAwMDAwMDAsICJzY29wZ"
    "SI6ICJhIGIifQ",
    "eyJhbGciOiAiSFMyNTYiLCAia2lkIjogImgifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZHAuZXhhbXBsZSIsICJzdWIiOiA"
    "iYWxpY2UiLCAiYXVkIjogWyJsbGFtYS1zdGFjayJdLCAiZXhwIjogMWUrMzAwLCAibmJmIjogMTYwMDAwMDAwMCwgI"
    "nNjb3BlIjogImEgYiJ9",
    "eyJhbGciOiAiSFMyNTYiLCAia2lkIjogImgifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZHAuZXhhbXBsZSIsICJzdWIiOiA"
    "iYWxpY2UiLCAiYXVkIjogWyJsbGFtYS1zdGFjayJdLCAiZXhwIjogIjE4MDAwMDAwMDAiLCAibmJmIjogMTYwMDAwM"
    "DAwMCwgInNjb3BlIjogImEgYiJ9"};

#endif
