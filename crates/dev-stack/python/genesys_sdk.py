"""Checks the Genesys Cloud stand-in with the official SDK (PyPI PureCloudPlatformClientV2).

Standard input is the line that `cargo run -p flowlake-dev-stack --example serve` prints.
Ends with status 0 and "ok" when the SDK can log in, is refused with a wrong secret, and can
draft, validate, publish, find and delete a data action.
"""

import json
import sys

import PureCloudPlatformClientV2 as genesys
from PureCloudPlatformClientV2.rest import ApiException


def login(endpoints, secret):
    client = genesys.api_client.ApiClient(host=endpoints["genesys_login_url"].rstrip("/"))
    client.get_client_credentials_token(endpoints["genesys_client_id"], secret)
    return client.access_token


def action_input(endpoints, name):
    schema = {"type": "object", "properties": {"agent_id": {"type": "string"}}}
    return {
        "name": name,
        "category": "flowlake",
        "integrationId": endpoints["genesys_integration_id"],
        "config": {
            "request": {
                "requestUrlTemplate": "http://127.0.0.1:9/v1/actions/x",
                "requestType": "POST",
                "headers": {},
                "requestTemplate": "${input.rawRequest}",
            },
            "response": {
                "translationMap": {},
                "translationMapDefaults": {},
                "successTemplate": "${rawResult}",
            },
        },
        "contract": {"input": {"inputSchema": schema}, "output": {"successSchema": schema}},
        "secure": False,
    }


def main():
    endpoints = json.loads(sys.stdin.readline())
    try:
        login(endpoints, "wrong")
        sys.exit("a wrong secret was accepted")
    except ApiException as error:
        assert error.status == 401, error

    token = login(endpoints, endpoints["genesys_client_secret"])
    client = genesys.api_client.ApiClient(host=endpoints["genesys_api_url"].rstrip("/"))
    client.access_token = token
    api = genesys.IntegrationsApi(client)

    draft = api.post_integrations_actions_drafts(action_input(endpoints, "sdk check"))
    report = api.get_integrations_action_draft_validation(draft.id)
    assert report.valid, report
    assert not report.errors, report
    # A body that is not of the SDK's model is refused before there is a draft.
    for member, value in [("secure", "yes"), ("contract", None), ("colour", "red")]:
        wrong = action_input(endpoints, "sdk check of inputs")
        wrong[member] = value
        try:
            api.post_integrations_actions_drafts(wrong)
            sys.exit(f"{member} = {value!r} was accepted")
        except ApiException as error:
            assert error.status == 400 and member in error.body, error
    # What is wrong with a draft is read by the SDK's own model too, error by error.
    wrong = action_input(endpoints, "sdk check of errors")
    wrong["config"]["request"]["requestType"] = "FETCH"
    wrong["config"]["timeoutSeconds"] = 61
    wrong = api.post_integrations_actions_drafts(wrong)
    report = api.get_integrations_action_draft_validation(wrong.id)
    assert isinstance(report, genesys.DraftValidationResult) and report.valid is False, report
    assert all(isinstance(error, genesys.ErrorBody) for error in report.errors), report
    told = sorted((error.status, error.message) for error in report.errors)
    assert told == [
        (400, "requestType must be GET, PUT, POST, PATCH or DELETE"),
        (400, "timeoutSeconds must be from 1 to 60"),
    ], told
    api.delete_integrations_action_draft(wrong.id)
    published = api.post_integrations_action_draft_publish(draft.id, {"version": draft.version})
    found = api.get_integrations_actions(name="sdk check")
    assert [action.id for action in found.entities] == [published.id], found
    # Nothing listens at the action's address: the test reports a failed step, not an HTTP error.
    outcome = api.post_integrations_action_test(published.id, {"agent_id": "agent-0001"})
    assert outcome.success is False and outcome.operations[-1].name == "Execute request", outcome
    api.delete_integrations_action(published.id)
    assert not api.get_integrations_actions(name="sdk check").entities

    client.access_token = "stolen"
    try:
        api.get_integrations_actions()
        sys.exit("a made-up token was accepted")
    except ApiException as error:
        assert error.status == 401, error
    print("ok")


if __name__ == "__main__":
    main()
