import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** A node from its archives alone: what OpenSearch's own command does, without its folders of modules and its guards. */
public class LogNode extends Node {
    private LogNode(Environment environment) {
        super(environment, List.of(Netty4Plugin.class), false);
    }

    /** Run until killed. Words: the folder of the node, the folder with opensearch.yml. */
    public static void main(String[] words) throws Exception {
        Settings home = Settings.builder().put("path.home", words[0]).build();
        new LogNode(InternalSettingsPreparer.prepareEnvironment(home, Map.of(), Path.of(words[1]), () -> "node")).start();
        new CountDownLatch(1).await();
    }
}
