using Xunit.Abstractions;

namespace FineTuneStudio.Engine.Tests.Parity;

[Collection("training")]
public sealed class RobertaParityTests(ITestOutputHelper output) : ClassifierParity(output, Shared.Find("goldens/roberta-tiny"), Shared.Find("goldens/roberta-tiny"));
