#!/bin/sh
# Makes the certificates of the tests, valid for a hundred years. They protect nothing.
set -eu
cd "$(dirname "$0")"
days=36500

key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"
}

# authority NAME SUBJECT
authority() {
    key "$1"
    openssl req -x509 -new -key "$1.key" -days $days -subj "$2" -out "$1.pem" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
}

# signed NAME SUBJECT AUTHORITY USAGE ALTERNATIVE_NAMES DAYS
signed() {
    key "$1"
    printf 'basicConstraints=critical,CA:FALSE\nextendedKeyUsage=%s\nsubjectAltName=%s\n' "$4" "$5" >"$1.ext"
    openssl req -new -key "$1.key" -subj "$2" |
        openssl x509 -req -CA "$3.pem" -CAkey "$3.key" -CAcreateserial -days "$6" -extfile "$1.ext" -out "$1.pem"
    rm "$1.ext"
}

authority authority "/CN=flowlake tests"
authority stranger "/CN=flowlake strangers"
signed server "/CN=first" authority serverAuth "DNS:localhost,IP:127.0.0.1" $days
signed renewed "/CN=second" authority serverAuth "DNS:localhost,IP:127.0.0.1" $days
signed client "/O=Contact Centre/CN=flows" authority clientAuth "DNS:flows.example" $days
signed other "/O=Contact Centre/CN=other" authority clientAuth "DNS:other.example" $days
signed forged "/O=Contact Centre/CN=flows" stranger clientAuth "DNS:flows.example" $days
signed expired "/O=Contact Centre/CN=flows" authority clientAuth "DNS:flows.example" 0
rm ./*.srl authority.key stranger.key
