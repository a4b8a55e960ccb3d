using Xunit.Abstractions;

namespace FineTuneStudio.Engine.Tests.Parity;

[Collection("training")]
public sealed class DistilBertParityTests(ITestOutputHelper output) : ClassifierParity(output, Shared.Find("goldens/distilbert-tiny"), Shared.Find("goldens/distilbert-tiny"));
