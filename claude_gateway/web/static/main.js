// Everything on the page, each part begun by its own module.
import { startAdmin } from "./admin.js";
import { startChat } from "./chat.js";
import { startCopying } from "./copy.js";
import { startEndpoints } from "./endpoints.js";
import { startKey } from "./key.js";
import { startLanguage } from "./strings.js";
import { startQuickStart } from "./quickstart.js";
import { startStatus } from "./status.js";
import { startTheme } from "./theme.js";

startLanguage();
startTheme();
startCopying();
startQuickStart();
startStatus();
startChat();
startEndpoints();
startAdmin();
startKey();
