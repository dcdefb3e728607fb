"""Kubeconfigs, and what becomes of each: beside kubectl, by whom and as whom is asked."""

from __future__ import annotations

import sys
from typing import Final

import orjson

from tests.integration.kube.kubeconfig_setup import (
    BOTH,
    OURS,
    SAME,
    THEIRS,
    KubeconfigCase,
    config,
    encoded,
    oidc,
    one,
    text,
    two,
)

MERGED: Final = {
    "first current-context": two(
        lambda w: config(w.cluster(), {"token": "one"}, name="one"),
        lambda w: config(w.cluster(server=w.b), {"token": "two"}, name="two"),
    ),
    "an empty current-context is none": two(
        lambda w: config(w.cluster(), {"token": "one"}, name="one", current_context=""),
        lambda w: config(w.cluster(server=w.b), {"token": "two"}, name="two"),
    ),
    "first entry of a name": two(
        lambda w: config(w.cluster(), {"token": "one"}),
        lambda w: config(w.cluster(server=w.b), {"token": "two", "as": "bob"}),
    ),
    "context here, user there": two(
        lambda w: {"current-context": "x", "users": [{"name": "x", "user": {"token": "one"}}]},
        lambda w: config(w.cluster(), {"token": "two"}),
    ),
    "a missing file is skipped": KubeconfigCase(
        lambda w: {"gone": None, "config": config(w.cluster(), {"token": "one"})}
    ),
    "an empty file is skipped": KubeconfigCase(
        lambda w: {"empty": "", "config": config(w.cluster(), {"token": "one"})}
    ),
    "paths are relative to their file": KubeconfigCase(
        lambda w: {
            "one/config": {"users": [{"name": "x", "user": {"tokenFile": "token"}}]},
            "two/config": config(w.cluster()),
        },
        beside={"one/token": "of one\n", "two/token": "of two\n", "token": "of none"},
    ),
}

USERS: Final = {
    "no user": KubeconfigCase(
        lambda w: {
            "config": config(
                w.cluster(), contexts=[{"name": "x", "context": {"cluster": "x", "user": ""}}]
            )
        },
        THEIRS,
    ),
    "token": one({"token": "t-1"}),
    "tokenFile before token": KubeconfigCase(
        lambda w: {"config": config(w.cluster(), {"token": "old", "tokenFile": "token"})},
        beside={"token": "new\n"},
    ),
    "token where tokenFile is missing": one({"token": "old", "tokenFile": "gone"}),
    "tokenFile is missing": one({"tokenFile": "gone"}, BOTH, "tokenFile"),
    "username and password": one({"username": "bo", "password": "pä:ss"}),
    "token and password": one({"username": "bo", "password": "p", "token": "t"}, BOTH, "token"),
    "client certificate": one(
        lambda w: {"client-certificate": str(w.client[0]), "client-key": str(w.client[1])}
    ),
    "client-certificate-data": one(
        lambda w: {
            "client-certificate-data": encoded(w.client[0]),
            "client-key-data": encoded(w.client[1]),
        }
    ),
    "certificate and token": one(
        lambda w: {
            "client-certificate-data": encoded(w.client[0]),
            "client-key-data": encoded(w.client[1]),
            "token": "t",
        }
    ),
    "both certificates": one(
        lambda w: {
            "client-certificate": str(w.client[0]),
            "client-certificate-data": encoded(w.client[0]),
            "client-key": str(w.client[1]),
        },
        BOTH,
        "client-certificate",
    ),
    "no key": one(lambda w: {"client-certificate": str(w.client[0])}, BOTH, "client-key"),
    "the key of another": one(
        lambda w: {"client-certificate": str(w.ca), "client-key": str(w.client[1])},
        BOTH,
        "client-key",
    ),
    "data is not base64": one({"client-certificate-data": "*"}, BOTH, "base64"),
    "as": one({"token": "t", "as": "bob"}),
    "as everything": one(
        {
            "token": "t",
            "as": "jürgen",
            "as-uid": "1-2",
            "as-groups": ["ops", "dev"],
            "as-user-extra": {"acme.com/Project%": ["one", "two"], "scope é": ["x"]},
        }
    ),
    "as-groups without as": one({"token": "t", "as-groups": ["ops"]}, BOTH, "as is missing"),
    "as with a line break": one({"token": "t", "as": "a\nb"}, BOTH, "as: "),
    "token with a line break": one({"token": "a\nb"}, BOTH, "token"),
    "auth-provider": one(lambda w: {"auth-provider": oidc()}, OURS, "auth-provider"),
    "unknown field": one({"token": "t", "sign-in": "yes"}, OURS, "sign-in"),
    "a number for a token": one({"token": 5}, BOTH, "token"),
    "a list for a user": one([1], BOTH, "map"),
}

PLUGINS: Final = {
    "token": one(lambda w: {"exec": w.plugin({"token": "issued"})}),
    "certificate": one(lambda w: {"exec": w.plugin(w.client_status())}),
    "certificate and token": one(
        lambda w: {"exec": w.plugin({**w.client_status(), "token": "issued"})}
    ),
    "a token goes before it": one(
        lambda w: {"exec": w.plugin({"token": "issued"}), "token": "mine"}
    ),
    "a password goes before it": one(
        lambda w: {"exec": w.plugin({"token": "issued"}), "username": "bo"}
    ),
    "a client certificate goes before it": one(
        lambda w: {
            "exec": w.plugin({"token": "issued"}),
            "client-certificate": str(w.client[0]),
            "client-key": str(w.client[1]),
        }
    ),
    "as goes with it": one(lambda w: {"exec": w.plugin({"token": "issued"}), "as": "bob"}),
    "what it is told": one(
        lambda w: {"exec": w.echo(env=[{"name": "MORE", "value": "than that"}])}
    ),
    "provideClusterInfo": one(
        lambda w: {"exec": w.echo(provideClusterInfo=True)},
        extensions=[
            {"name": "other", "extension": 1},
            {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}},
        ],
        disable_compression=True,
        proxy_url=lambda w: w.proxy,
    ),
    "provideClusterInfo without TLS": one(
        lambda w: {"exec": w.echo(provideClusterInfo=True)},
        certificate_authority=None,
        insecure_skip_tls_verify=True,
    ),
    "provideClusterInfo with a name": one(
        lambda w: {"exec": w.echo(provideClusterInfo=True)},
        server=lambda w: w.named,
        tls_server_name="inside.test",
    ),
    "v1beta1": one(
        lambda w: {
            "exec": w.echo(apiVersion="client.authentication.k8s.io/v1beta1", interactiveMode=None)
        }
    ),
    "v1alpha1": one(
        lambda w: {"exec": w.echo(apiVersion="client.authentication.k8s.io/v1alpha1")},
        BOTH,
        "apiVersion",
    ),
    "a command relative to its file": KubeconfigCase(
        lambda w: {"sub/config": config(w.cluster(), {"exec": w.echo(command="./bin/issue")})},
        beside={"sub/bin/issue": f'#!/bin/sh\nexec {sys.executable} "$@"\n'},
    ),
    "a command that is not there": one(
        lambda w: {"exec": w.plugin({}, command="no-such-plugin")}, BOTH, "no-such-plugin"
    ),
    "no interactiveMode": one(
        lambda w: {"exec": w.plugin({"token": "t"}, interactiveMode=None)},
        BOTH,
        "interactiveMode",
    ),
    "Always": one(
        lambda w: {"exec": w.plugin({"token": "t"}, interactiveMode="Always")},
        BOTH,
        "interactiveMode",
    ),
    "no answer": one(lambda w: {"exec": w.plugin({}, args=["-c", ""])}, BOTH, "exec plugin"),
    "it fails": one(
        lambda w: {"exec": w.plugin({}, args=["-c", "raise SystemExit(3)"])}, BOTH, "exit code 3"
    ),
    "no credentials": one(lambda w: {"exec": w.plugin({})}, BOTH, "neither"),
    "half a certificate": one(
        lambda w: {"exec": w.plugin({"token": "t", "clientKeyData": "x"})}, BOTH, "only one"
    ),
    "another version": one(
        lambda w: {
            "exec": w.plugin({"token": "t"}, apiVersion="client.authentication.k8s.io/v1beta1")
        },
        BOTH,
        "v1beta1",
    ),
    "and an auth-provider": one(
        lambda w: {"exec": w.plugin({"token": "t"}), "auth-provider": {"name": "oidc"}},
        BOTH,
        "auth-provider",
    ),
}

CLUSTERS: Final = {
    "certificate-authority-data": one(
        certificate_authority=None, certificate_authority_data=lambda w: encoded(w.ca)
    ),
    "both authorities": one(
        None, BOTH, "certificate-authority", certificate_authority_data=lambda w: encoded(w.ca)
    ),
    "no authority": one(None, BOTH, "not trusted", certificate_authority=None),
    "an authority that is missing": one(None, BOTH, "cannot be read", certificate_authority="gone"),
    "an authority that is not one": one(
        None, BOTH, "certificate", certificate_authority=None, certificate_authority_data="YQ=="
    ),
    "insecure-skip-tls-verify": one(certificate_authority=None, insecure_skip_tls_verify=True),
    "insecure and an authority": one(
        None, BOTH, "insecure-skip-tls-verify", insecure_skip_tls_verify=True
    ),
    "tls-server-name": one(server=lambda w: w.named, tls_server_name="inside.test"),
    "another name than that": one(
        None, BOTH, "not trusted", server=lambda w: w.named, tls_server_name="else.test"
    ),
    "no TLS": one(server=lambda w: w.plain, certificate_authority=None),
    "no plugin without TLS": one(
        lambda w: {"exec": w.plugin({}, args=["-c", "raise SystemExit(3)"]), "as": "bob"},
        server=lambda w: w.plain,
        certificate_authority=None,
    ),
    "a path": one(server=lambda w: w.a + "/k8s/c-1/"),
    "proxy-url": one(proxy_url=lambda w: w.proxy),
    "proxy-url: https": one(proxy_url=lambda w: w.secure_proxy),
    "proxy-url without TLS": one(
        server="http://api.test:80", certificate_authority=None, proxy_url=lambda w: w.plain
    ),
    "proxy-url: socks5": one(None, OURS, "socks5", proxy_url="socks5://127.0.0.1:1"),
    "proxy-url: ftp": one(None, BOTH, "ftp", proxy_url="ftp://127.0.0.1:1"),
    "no server": one(None, BOTH, "server", server=None),
    "a server without a scheme": one(
        None,
        OURS,
        "server",
        server=lambda w: w.plain.removeprefix("http://"),
        certificate_authority=None,
    ),
    "a server that is no URL": one(None, BOTH, "server", server="https://[1"),
    "a number for a server": one(None, BOTH, "server", server=7),
    "unknown field": one(None, OURS, "sign-in", sign_in="yes"),
}


ODD: Final = {
    "empty": text("", BOTH, "current-context"),
    "only a comment": text("# nothing", BOTH, "current-context"),
    "not YAML": text("{{{ token-abc", BOTH, "not YAML"),
    "not UTF-8": text(b"a: \xff\xfe", BOTH, "not YAML"),
    "no map": text("[1]", BOTH, "map"),
    "deep": text("[" * 20000 + "]" * 20000, BOTH, "within each other"),
    "another kind": text("kind: Pod", BOTH, "kind"),
    "another version": text("apiVersion: v2", BOTH, "apiVersion"),
    "no context": text(lambda w: config(w.cluster(), current_context=""), BOTH, "current-context"),
    "unknown context": text(
        lambda w: config(w.cluster(), current_context="prod\nmünchen"), BOTH, "münchen"
    ),
    "unknown cluster": text(lambda w: config(w.cluster(), clusters=[]), BOTH, "cluster"),
    "unknown user": text(lambda w: config(w.cluster(), users=[]), BOTH, "user"),
    "names that are not ASCII": text(lambda w: config(w.cluster(), name="prod-münchen"), SAME, ""),
    "a name that is a date": text(lambda w: config(w.cluster(), name="2026-01-01"), SAME, ""),
    "a name that is a number": text(lambda w: config(w.cluster(), name=5), BOTH, "string"),
    "a map for a list": text(lambda w: config(w.cluster(), clusters={"name": "x"}), BOTH, "list"),
    "a list for a map": text(
        lambda w: config(w.cluster(), contexts=[{"name": "x", "context": [1]}]), BOTH, "map"
    ),
    "two of one name": text(
        lambda w: config(
            w.cluster(), users=[{"name": "x", "user": {"token": t}} for t in ("one", "two")]
        ),
        BOTH,
        "two entries",
    ),
    "a field twice": text(
        lambda w: orjson.dumps(config(w.cluster())).replace(b'"token"', b'"token":"u","token"'),
        OURS,
        "twice",
    ),
    "two documents": text(
        lambda w: orjson.dumps(config(w.cluster())) + b"\n---\na: 1\n", OURS, "two documents"
    ),
    "null for all": text(
        "{apiVersion: null, clusters: null, users: null, contexts: null}", BOTH, "current-context"
    ),
}

CASES: Final = {
    f"{section}: {name}": case
    for section, cases in (
        ("merged", MERGED),
        ("user", USERS),
        ("exec", PLUGINS),
        ("cluster", CLUSTERS),
        ("odd", ODD),
    )
    for name, case in cases.items()
}
