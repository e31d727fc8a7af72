// Included by each example of BEHAVIOUR.md: an embedded S3 with one empty bucket, `lake`, and a client for it.

fn behaviour<F>(example: impl FnOnce(aws_sdk_s3::Client) -> F)
where
    F: Future<Output = Result<(), Box<dyn std::error::Error>>>,
{
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("lake")).expect("a bucket");
        let stack = flowlake_dev_stack::DevStack::builder(folder.path())
            .with_iam(flowlake_dev_stack::IamDocument::single_administrator())
            .start()
            .await
            .expect("the stack starts");
        let key = stack.access_key("flowlake");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
            .region(aws_sdk_s3::config::Region::new("us-east-1"))
            .endpoint_url(stack.s3_url())
            .force_path_style(true)
            .credentials_provider(aws_credential_types::Credentials::from_keys(
                key.id, key.secret, None,
            ))
            .build();
        example(aws_sdk_s3::Client::from_conf(config))
            .await
            .expect("the example succeeds");
    });
}
