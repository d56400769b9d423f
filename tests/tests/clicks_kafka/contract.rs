//! The seam's suite on Kafka.

use analytics::{
    click::LogId,
    conformance::stream::{self, StreamHarness},
    kafka::KafkaOptions,
    stream::ClickStream,
};
use async_trait::async_trait;
use septet_tests::engines::unique_name;

use crate::world::{Instance, join, new_topic};

struct Harness {
    options: KafkaOptions,
    instance: Instance,
    group: String,
}

#[async_trait]
impl StreamHarness for Harness {
    async fn append(&mut self, log: usize, link: u64) -> (LogId, u64) {
        self.instance.click(log, link)
    }

    async fn seal(&mut self, log: usize) {
        self.instance.seal(log);
    }

    async fn restart(&mut self) {
        self.instance.restart().await;
    }

    async fn open(&mut self) -> Box<dyn ClickStream> {
        Box::new(join(&self.options, &self.group))
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn keeps_the_contract() {
    stream::all(async || {
        let options = new_topic().await;
        let instance = Instance::start(&options);
        Harness { options, instance, group: unique_name("group") }
    })
    .await;
}
