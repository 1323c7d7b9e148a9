"""Sends one request of OTLP profiles, made of OpenTelemetry's own message types, over Google's gRPC or over HTTP.

    otlp_client.py grpc|grpc-gzip|http ADDRESS [broken]

Prints what was answered: `ok`, or the code of the refusal and its message.

With CLIENT_FILES, a folder, gRPC goes over TLS, by the files authority.crt, client.crt and client.key in it; with CLIENT_AUTHORIZATION,
that is told with the call.
"""

import os
import sys
import time
import urllib.error
import urllib.request

import grpc
from opentelemetry.proto.collector.profiles.v1development import profiles_service_pb2 as service
from opentelemetry.proto.collector.profiles.v1development import profiles_service_pb2_grpc as stub
from opentelemetry.proto.common.v1 import common_pb2 as common
from opentelemetry.proto.profiles.v1development import profiles_pb2 as profiles


def request(broken):
    strings = ["", "samples", "count", "cpu", "nanoseconds", "main", "handler", "server.js", "phase", "timers", "check", "libc.so.6"]
    string = strings.index
    text = lambda value: common.AnyValue(string_value=value)
    dictionary = profiles.ProfilesDictionary(
        string_table=strings,
        mapping_table=[profiles.Mapping(), profiles.Mapping(filename_strindex=string("libc.so.6"))],
        function_table=[
            profiles.Function(),
            profiles.Function(name_strindex=string("main"), filename_strindex=string("server.js")),
            profiles.Function(name_strindex=string("handler"), filename_strindex=string("server.js")),
        ],
        location_table=[
            profiles.Location(),
            profiles.Location(lines=[profiles.Line(function_index=1, line=3)]),
            profiles.Location(lines=[profiles.Line(function_index=2, line=9)]),
            profiles.Location(mapping_index=1, address=0x1234),
        ],
        stack_table=[
            profiles.Stack(),
            profiles.Stack(location_indices=[2, 1]),
            profiles.Stack(location_indices=[3, 2, 99 if broken else 1]),
        ],
        attribute_table=[
            profiles.KeyValueAndUnit(),
            profiles.KeyValueAndUnit(key_strindex=string("phase"), value=text("timers")),
            profiles.KeyValueAndUnit(key_strindex=string("phase"), value=text("check")),
        ],
        link_table=[profiles.Link()],
    )
    now = time.time_ns()
    profile = profiles.Profile(
        sample_type=profiles.ValueType(type_strindex=string("samples"), unit_strindex=string("count")),
        period_type=profiles.ValueType(type_strindex=string("cpu"), unit_strindex=string("nanoseconds")),
        period=10_000_000,
        time_unix_nano=now,
        duration_nano=10**9,
        samples=[
            profiles.Sample(stack_index=1, attribute_indices=[1], timestamps_unix_nano=[now, now + 1, now + 2]),
            profiles.Sample(stack_index=2, attribute_indices=[2], values=[4, 5], timestamps_unix_nano=[now, now]),
        ],
    )
    resource = [("service.name", text("shop")), ("process.pid", common.AnyValue(int_value=4711)), ("process.command_line", text("x"))]
    resource = [common.KeyValue(key=key, value=value) for key, value in resource]
    of_resource = profiles.ResourceProfiles(scope_profiles=[profiles.ScopeProfiles(profiles=[profile])])
    of_resource.resource.attributes.extend(resource)
    return service.ExportProfilesServiceRequest(resource_profiles=[of_resource], dictionary=dictionary)


def channel_to(address, compression):
    folder = os.environ.get("CLIENT_FILES")
    if folder is None:
        return grpc.insecure_channel(address, compression=compression)
    authority, key, certificate = (open(f"{folder}/{name}", "rb").read() for name in ("authority.crt", "client.key", "client.crt"))
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(authority, key, certificate), compression=compression)


def main(how, address, broken):
    if how == "http":
        body = request(broken).SerializeToString()
        post = urllib.request.Request(f"http://{address}/v1development/profiles", body, {"content-type": "application/x-protobuf"})
        try:
            answer = urllib.request.urlopen(post).read()
            service.ExportProfilesServiceResponse.FromString(answer)
            print("ok")
        except urllib.error.HTTPError as error:
            print(error.code, error.read().decode())
        return
    compression = grpc.Compression.Gzip if how == "grpc-gzip" else None
    authorization = os.environ.get("CLIENT_AUTHORIZATION")
    metadata = [("authorization", authorization)] if authorization else None
    with channel_to(address, compression) as channel:
        try:
            stub.ProfilesServiceStub(channel).Export(request(broken), timeout=60, metadata=metadata)
            print("ok")
        except grpc.RpcError as error:
            print(error.code().name, error.details())


main(sys.argv[1], sys.argv[2], len(sys.argv) > 3)
