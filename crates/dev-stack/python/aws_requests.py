"""Writes data/aws-requests.json: what AWS accepts as input of the operations that the stand-ins answer.

Standard output is the excerpt, taken from the service models that botocore ships (the same models that
the AWS SDKs are generated from). Run with the botocore of tests/e2e/requirements.txt:

    python aws_requests.py > ../data/aws-requests.json
"""

import json
import sys

import botocore
from botocore.loaders import Loader

OPERATIONS = {
    "sts": ("2011-06-15", ["GetCallerIdentity", "AssumeRole", "AssumeRoleWithWebIdentity"]),
    "iam": ("2010-05-08", ["GetRole", "ListUserTags", "SimulatePrincipalPolicy"]),
    "ce": ("2017-10-25", ["GetCostAndUsage"]),
    "s3": (
        "2006-03-01",
        [
            "AbortMultipartUpload",
            "CompleteMultipartUpload",
            "CopyObject",
            "CreateMultipartUpload",
            "DeleteObject",
            "DeleteObjects",
            "GetBucketLocation",
            "GetBucketPolicy",
            "GetObject",
            "GetObjectTagging",
            "HeadBucket",
            "HeadObject",
            "ListObjectsV2",
            "PutObject",
            "UploadPart",
            "UploadPartCopy",
        ],
    ),
}

SHAPE_KEYS = ("type", "required", "enum", "min", "max", "pattern", "flattened", "payload")
MEMBER_KEYS = ("shape", "location", "locationName")


def excerpt(shape):
    kept = {key: shape[key] for key in SHAPE_KEYS if key in shape}
    if "members" in shape:
        kept["members"] = {
            name: {key: member[key] for key in MEMBER_KEYS if key in member} for name, member in shape["members"].items()
        }
    for part in ("member", "key", "value"):
        if part in shape:
            kept[part] = {key: shape[part][key] for key in MEMBER_KEYS if key in shape[part]}
    return kept


def reach(name, shapes, found):
    """Puts a shape and every shape below it into `found`."""
    if name in found:
        return
    shape = shapes[name]
    found[name] = excerpt(shape)
    below = list(shape.get("members", {}).values()) + [shape[part] for part in ("member", "key", "value") if part in shape]
    for member in below:
        reach(member["shape"], shapes, found)


def services():
    loader = Loader()
    result = {}
    for service, (version, operations) in OPERATIONS.items():
        model = loader.load_service_model(service, "service-2", version)
        shapes = {}
        inputs = {}
        for operation in operations:
            definition = model["operations"][operation]
            shape = definition.get("input", {}).get("shape")
            inputs[operation] = {
                "method": definition["http"]["method"],
                "uri": definition["http"]["requestUri"],
                "input": shape,
            }
            if shape:
                reach(shape, model["shapes"], shapes)
        result[service] = {
            "version": version,
            "protocol": model["metadata"]["protocol"],
            "operations": inputs,
            "shapes": dict(sorted(shapes.items())),
        }
    return result


if __name__ == "__main__":
    source = f"botocore {botocore.__version__} (Apache-2.0), made by python/aws_requests.py"
    json.dump({"source": source, "services": services()}, sys.stdout, indent=1)
    print()
