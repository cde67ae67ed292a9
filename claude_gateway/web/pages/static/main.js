// The entry point of the page: starts each part.
import { startAdmin } from "./admin.js";
import { startKey } from "./api_key.js";
import { startChat } from "./chat.js";
import { startCopyButtons } from "./copy_buttons.js";
import { startEndpoints } from "./endpoints.js";
import { startQuickStart } from "./quickstart.js";
import { startStatus } from "./status.js";
import { startLanguage } from "./strings.js";
import { startTheme } from "./theme.js";

startLanguage();
startTheme();
startCopyButtons();
startQuickStart();
startStatus();
startChat();
startEndpoints();
startAdmin();
startKey();
