using System.Text.Json;
using FineTuneStudio.Engine.Headless;

namespace FineTuneStudio.Engine.Tests.Headless;

public sealed class DoctorTests
{
    private static readonly MachineFacts Plain = new("1.13.1", "/usr/lib/libtorch_cpu.so", false, false, "A processor", 4, ["avx2", "fma"], 4, ["libblas.so.3", "libdnnl.so.2"], null, new Dictionary<string, string>());

    private static string Only(MachineFacts facts, double rate = 100, double? without = null) => Assert.Single(DoctorCommand.Advice(facts, rate, without));

    [Fact]
    public void A_machine_without_fault_is_told_so()
    {
        Assert.Equal("Nothing was found that slows it down; only a faster processor would help, because training runs on the processor alone.", Only(Plain));
        Assert.Equal("Nothing was found that slows it down; only a faster processor would help, because training runs on the processor alone.", Only(Plain with { CudaDevices = true, NvidiaDriver = true }));
    }

    [Fact]
    public void A_variable_that_costs_speed_is_named_with_both_rates()
    {
        var forced = Plain with { Variables = new Dictionary<string, string> { ["DNNL_MAX_CPU_ISA"] = "SSE41" } };
        Assert.Equal("The environment costs speed: without DNNL_MAX_CPU_ISA the same product runs at 120 instead of 30 GFLOP/s. Unset it, or find out which by unsetting one at a time.", Only(forced, 30, 120));
        Assert.Equal(["DNNL_MAX_CPU_ISA is set, but the product is no faster without.", "Nothing was found that slows it down; only a faster processor would help, because training runs on the processor alone."], DoctorCommand.Advice(forced, 118, 120));
    }

    [Fact]
    public void What_would_make_it_faster_is_said()
    {
        Assert.Equal("libtorch uses 2 of 4 processors; if they are cores and not hyperthreads, OMP_NUM_THREADS=4 makes use of all.", Only(Plain with { Threads = 2 }));
        Assert.Equal("The matrix product is that of the system's reference BLAS: install libopenblas0-pthread, or unset FTS_BLAS.", Only(Plain with { MatrixLibraries = ["libblas.so.3"] }));
    }

    [Fact]
    public void What_bf16_is_worth_here_is_said()
    {
        Assert.Equal("the processor has no bf16 instructions; a bfloat16 product runs at 0.05 times the rate of float32, so train in float32", DoctorCommand.Mixed(Plain, 200, 10));
        Assert.Equal("the processor has bf16 instructions; a bfloat16 product runs at 2.33 times the rate of float32", DoctorCommand.Mixed(Plain with { InstructionSets = ["avx2", "avx512_bf16"] }, 400, 932));
        Assert.StartsWith("this system does not tell", DoctorCommand.Mixed(Plain with { InstructionSets = [] }, 1, 1));
    }

    [Fact]
    public void The_machine_it_runs_on_is_looked_at_and_measured()
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        Assert.Equal((0, ""), (DoctorCommand.Run(["--json"], output, error), error.ToString()));
        var said = JsonDocument.Parse(output.ToString()).RootElement;
        Assert.Equal(TorchSharp.torch.__version__, said.GetProperty("facts").GetProperty("libtorch").GetString());
        Assert.Equal(TorchSharp.torch.get_num_threads(), said.GetProperty("facts").GetProperty("threads").GetInt32());
        Assert.All(["float32Gflops", "bfloat16Gflops"], rate => Assert.InRange(said.GetProperty(rate).GetDouble(), 0.01, 1e6));
        Assert.NotEqual(0, said.GetProperty("advice").GetArrayLength());
    }

    [Fact]
    public void A_spin_count_that_the_person_has_set_is_among_what_may_cost_speed() => Assert.Equal("OpenMP", MachineFacts.Known["GOMP_SPINCOUNT"]);

    [Fact]
    public void An_unknown_option_is_refused()
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        Assert.Equal(1, DoctorCommand.Run(["--fast"], output, error));
        Assert.StartsWith("doctor does not know --fast; it takes --json", error.ToString());
    }
}
