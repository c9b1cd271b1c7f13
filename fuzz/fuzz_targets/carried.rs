//! What HTTP bodies carry: gRPC messages and GraphQL.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    dissect::protocols::grpc::fuzz::fuzz_grpc(data);
    dissect::protocols::graphql::fuzz::fuzz_graphql(data);
});
