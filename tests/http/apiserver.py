"""A Kubernetes API server as far as `authentication.k8s.io/v1` goes: TokenReview and SelfSubjectReview with the statuses,
the objects and the omissions of the API reference. A token with a behaviour of its own (endpoint.py) gets that instead."""

import json
import time
import uuid

from behaviour import REASONS, render
from endpoint import Call, Endpoint

API = "/apis/authentication.k8s.io/v1"
DEFAULT_AUDIENCE = "https://kubernetes.default.svc.cluster.local"
STATUS_REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed",
                  415: "UnsupportedMediaType", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}

REASONS.update({201: "Created", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"})


def failure(status, message=None):
    """The Status object that stands for an error."""
    reason = STATUS_REASONS.get(status, "Unknown")
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message or reason,
            "reason": reason, "code": status}


def fail(status, message=None, headers=()):
    """A behaviour: the server's own words for a status."""
    def behave(peer, call):
        peer.send(kube(status, failure(status, message), headers))
    return behave


def kube(status, body, headers=()):
    return render(status, body, [("Audit-Id", str(uuid.uuid4())), ("Cache-Control", "no-cache, private"), *headers])


def service_account(namespace, name, **more):
    """The UserInfo that a pod's token stands for."""
    return {"username": f"system:serviceaccount:{namespace}:{name}", "uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/pod-name": [name + "-0"]}, **more}


class ReviewCall(Call):
    @property
    def bearer(self):
        kind, _, token = (self.header("Authorization") or "").partition(" ")
        return token if kind == "Bearer" else None

    @property
    def token(self):
        """The token that is asked about."""
        try:
            return self.json["spec"]["token"] if self.target.endswith("/tokenreviews") else self.bearer
        except (ValueError, KeyError, TypeError):
            return None


class ApiServer(Endpoint):
    def __init__(self, **arguments):
        self.users = {}      # token -> (UserInfo, audiences of the token)
        self.reviewers = {}  # token -> whether RBAC lets it create tokenreviews
        self.audience_aware = True
        super().__init__(**arguments)
        self.default = self.answer

    def base(self, path="", host="127.0.0.1"):
        return self.url(path, host)

    def user(self, token, info, audiences=(DEFAULT_AUDIENCE,)):
        """Makes a token known; returns it."""
        self.users[token] = (info, list(audiences))
        return token

    def converse(self, peer):
        while peer.open and not self.stopping.is_set():
            call = peer.read_call()
            if call is None:
                return
            call.__class__ = ReviewCall
            with self.lock:
                self.calls.append(call)
            self.behaviours.get(call.token, self.default)(peer, call)

    # ---- the API ---------------------------------------------------------------------------------

    def answer(self, peer, call):
        peer.send(kube(*self.judge(call)))

    def judge(self, call):
        """Status and object, in the order in which a server looks: who asks, what, and whether it may."""
        if call.bearer not in self.users and call.bearer not in self.reviewers:
            return 401, failure(401)
        resource = {API + "/tokenreviews": self.review_token, API + "/selfsubjectreviews": self.review_self}.get(call.target)
        if resource is None:
            return 404, failure(404, "the server could not find the requested resource")
        if call.method != "POST":
            return 405, failure(405, "the server does not allow this method on the requested resource")
        if call.header("Content-Type") != "application/json":
            return 415, failure(415)
        try:
            asked = call.json
        except ValueError:
            return 400, failure(400, "the object provided is unrecognized")
        kind = {self.review_token: "TokenReview", self.review_self: "SelfSubjectReview"}[resource]
        if not isinstance(asked, dict) or (asked.get("apiVersion"), asked.get("kind")) != ("authentication.k8s.io/v1", kind):
            return 400, failure(400, "the object provided is unrecognized")
        return resource(call, asked)

    def review_token(self, call, asked):
        if not self.reviewers.get(call.bearer):
            return 403, failure(403, 'tokenreviews.authentication.k8s.io is forbidden: User "reviewer" cannot create '
                                     'resource "tokenreviews" in API group "authentication.k8s.io" at the cluster scope')
        spec = asked.get("spec")
        if not isinstance(spec, dict) or not spec.get("token") or set(spec) - {"token", "audiences"}:
            return 400, failure(400, "token is required for TokenReview in authentication")
        return 201, {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
                     "metadata": {"creationTimestamp": None, "managedFields": [
                         {"manager": "mod_llama_auth", "operation": "Update", "apiVersion": "authentication.k8s.io/v1",
                          "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "fieldsType": "FieldsV1"}]},
                     "spec": spec, "status": self.status(spec)}

    def status(self, spec):
        """TokenReviewStatus: what is false or empty is left out, but for `user`, which is a struct."""
        asked = spec.get("audiences") or [DEFAULT_AUDIENCE]
        info, audiences = self.users.get(spec["token"], (None, []))
        if info is None:
            return {"user": {}, "error": "[invalid bearer token, Token has been invalidated]"}
        if not self.audience_aware:
            return {"authenticated": True, "user": info}
        shared = [a for a in asked if a in audiences]
        if not shared:
            return {"user": {}, "error": f"[invalid bearer token, token audiences {json.dumps(audiences)} is invalid for "
                                         f"the target audiences {json.dumps(asked)}]"}
        return {"authenticated": True, "user": info, "audiences": shared}

    def review_self(self, call, asked):
        info = self.users[call.bearer][0] if call.bearer in self.users else {"username": "reviewer"}
        return 201, {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1",
                     "metadata": {"creationTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())},
                     "status": {"userInfo": info}}
